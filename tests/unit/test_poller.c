/* The poller: edges, another turn, forgetting in the middle of a round. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/poller.h"

struct fixture;

struct probe {
	struct poll_entry entry; /* first */
	struct poller *poller;
	struct probe *forgets;
	struct fixture *fixture;
	int calls, turns, again;
	uint32_t events;
};

static void
on_ready(struct poll_entry *entry, uint32_t events)
{
	struct probe *p = (struct probe *)entry;

	p->calls++;
	p->turns += !events;
	p->events |= events;
	if (p->forgets)
		poller_forget(&p->forgets->entry);
	if (p->again-- > 0)
		poller_again(p->poller, entry);
}

struct fixture {
	struct event_base *base;
	struct poller *poller;
	struct probe probes[2], late;
	int pairs[2][2], spare[2];
};

static void
begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->base = event_base_new();
	f->poller = poller_new(f->base);
	assert_non_null(f->poller);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    socketpair(
			AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->pairs[i]),
		    0);
		f->probes[i].poller = f->poller;
		f->probes[i].entry.on_ready = on_ready;
		assert_int_equal(
		    poller_add(f->poller, f->pairs[i][0], &f->probes[i].entry,
			EPOLLIN | EPOLLRDHUP | EPOLLET),
		    0);
	}
}

static void
turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void
end(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		close(f->pairs[i / 2][i % 2]);
	poller_free(f->poller);
	event_base_free(f->base);
}

static void
test_edge_is_told_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	turn(&f);
	assert_int_equal(f.probes[0].calls, 0);
	assert_int_equal(write(f.pairs[0][1], "x", 1), 1);
	turn(&f);
	turn(&f);
	assert_int_equal(f.probes[0].calls, 1);
	assert_true(f.probes[0].events & EPOLLIN);
	shutdown(f.pairs[0][1], SHUT_WR);
	turn(&f);
	assert_true(f.probes[0].events & EPOLLRDHUP);
	assert_int_equal(f.probes[1].calls, 0);
	end(&f);
}

static void
test_another_turn(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.probes[0].again = 3;
	poller_again(f.poller, &f.probes[0].entry);
	poller_again(f.poller, &f.probes[0].entry); /* twice is once */
	for (int i = 0; i < 5; i++)
		turn(&f);
	assert_int_equal(f.probes[0].turns, 4);
	end(&f);
}

static void
test_forgotten_in_the_same_round(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.probes[0].forgets = &f.probes[1];
	f.probes[1].forgets = &f.probes[0];
	for (int i = 0; i < 2; i++)
		assert_int_equal(write(f.pairs[i][1], "x", 1), 1);
	turn(&f);
	assert_int_equal(f.probes[0].calls + f.probes[1].calls, 1);
	end(&f);
}

static void
test_forgotten_while_waiting_for_a_turn(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	poller_again(f.poller, &f.probes[0].entry);
	poller_forget(&f.probes[0].entry);
	turn(&f);
	assert_int_equal(f.probes[0].calls, 0);
	end(&f);
}

/* Closes the other's descriptor, and lets another entry have its number. */
static void
on_ready_takes_over(struct poll_entry *entry, uint32_t events)
{
	struct fixture *f = ((struct probe *)entry)->fixture;
	int other = entry == &f->probes[0].entry, old = f->pairs[other][0];

	(void)events;
	poller_forget(&f->probes[0].entry);
	poller_forget(&f->probes[1].entry);
	close(old);
	f->pairs[other][0] = dup(f->spare[0]);
	assert_int_equal(f->pairs[other][0], old);
	assert_int_equal(
	    poller_add(f->poller, old, &f->late.entry, EPOLLIN | EPOLLET), 0);
}

static void
test_closed_in_the_same_round(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f.spare), 0);
	f.late.entry.on_ready = on_ready;
	for (int i = 0; i < 2; i++) {
		f.probes[i].fixture = &f;
		f.probes[i].entry.on_ready = on_ready_takes_over;
		assert_int_equal(write(f.pairs[i][1], "x", 1), 1);
	}
	turn(&f);
	assert_int_equal(f.late.calls, 0);
	assert_int_equal(write(f.spare[1], "x", 1), 1);
	turn(&f);
	assert_int_equal(f.late.calls, 1);
	close(f.spare[0]);
	close(f.spare[1]);
	end(&f);
}

/* epoll(7): it is the open file that is watched, not its descriptor. */
static void
test_closed_with_a_copy_elsewhere(void **state)
{
	struct fixture f;
	int copy;

	(void)state;
	begin(&f);
	copy = dup(f.pairs[0][0]);
	poller_remove(f.poller, f.pairs[0][0]);
	close(f.pairs[0][0]);
	f.pairs[0][0] = copy;
	assert_int_equal(write(f.pairs[0][1], "x", 1), 1);
	turn(&f);
	assert_int_equal(f.probes[0].calls, 0);
	end(&f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edge_is_told_once),
		cmocka_unit_test(test_another_turn),
		cmocka_unit_test(test_forgotten_in_the_same_round),
		cmocka_unit_test(test_forgotten_while_waiting_for_a_turn),
		cmocka_unit_test(test_closed_in_the_same_round),
		cmocka_unit_test(test_closed_with_a_copy_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
