/* The relay between two loopback connections, with either engine. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/pipe_pool.h"
#include "flow/relay.h"

#define BUFFER 65536
#define BULK (1 << 20)

struct bench {
	struct relay relay; /* first: on_outcome finds the bench by it */
	struct relay_shared shared;
	struct stats stats;
	struct pipe_pool pool;
	struct event_base *base;
	int client, server; /* the far ends */
	int outcomes[8], n_outcomes;
};

static void
on_outcome(struct relay *relay, enum relay_outcome outcome)
{
	struct bench *b = (struct bench *)relay;

	b->outcomes[b->n_outcomes++ % 8] = (int)outcome;
	if (outcome != RELAY_FINISHED && outcome != RELAY_FAILED)
		return;
	relay_stop(relay);
	close(relay->legs[0].fd);
	close(relay->legs[1].fd);
}

static void
connected_pair(int fds[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(l, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&a, len), 0);
	fds[1] = accept(l, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(l);
	for (int i = 0; i < 2; i++)
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
}

static void
begin(struct bench *b, uint64_t splice_after)
{
	int c[2], s[2];

	memset(b, 0, sizeof(*b));
	connected_pair(c);
	connected_pair(s);
	b->client = c[0];
	b->server = s[0];
	b->base = event_base_new();
	pipe_pool_init(&b->pool);
	b->shared = (struct relay_shared){
		.poller = poller_new(b->base),
		.on_outcome = on_outcome,
		.pool = &b->pool,
		.scratch = malloc(RELAY_SCRATCH),
		.stats = &b->stats,
	};
	relay_init(&b->relay, &b->shared, BUFFER, splice_after);
	assert_int_equal(relay_attach(&b->relay, c[1]), 0);
	b->relay.legs[RELAY_SERVER].fd = s[1];
	assert_int_equal(poller_add(b->shared.poller, s[1],
			     &b->relay.legs[RELAY_SERVER].entry, POLLER_STREAM),
	    0);
	relay_start(&b->relay, EPOLLOUT, 0);
}

static void
turn(struct bench *b)
{
	event_base_loop(b->base, EVLOOP_NONBLOCK);
}

static void
end(struct bench *b)
{
	if (b->relay.engine) {
		relay_stop(&b->relay);
		close(b->relay.legs[0].fd);
		close(b->relay.legs[1].fd);
	}
	close(b->client);
	close(b->server);
	pipe_pool_clear(&b->pool);
	poller_free(b->shared.poller);
	event_base_free(b->base);
	free(b->shared.scratch);
}

static void
reset_by(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Turns the loop until FD answers; what recv says. */
static ssize_t
receive(struct bench *b, int fd, void *data, size_t n)
{
	for (int i = 0; i < 2000; i++) {
		ssize_t got = recv(fd, data, n, 0);

		if (got >= 0 || errno != EAGAIN)
			return got;
		turn(b);
	}
	errno = EAGAIN;
	return -1;
}

/* Sends N patterned bytes from one end and checks them at the other. */
static void
transfer(struct bench *b, int from, int to, size_t n)
{
	static unsigned char out[BULK], in[BULK];
	size_t sent = 0, got = 0;

	assert_true(n <= BULK);
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(i * 31 + i / 251);
	for (int i = 0; i < 100000 && got < n; i++) {
		ssize_t k = send(from, out + sent, n - sent, MSG_NOSIGNAL);

		sent += k > 0 ? (size_t)k : 0;
		turn(b);
		k = recv(to, in + got, n - got, 0);
		got += k > 0 ? (size_t)k : 0;
	}
	assert_int_equal(got, n);
	assert_memory_equal(in, out, n);
}

static const uint64_t engines[] = { 0, 1 }; /* buffer, splice at once */

#define EACH_ENGINE(b) \
	for (size_t e_ = 0; e_ < 2 && (begin(b, engines[e_]), 1); end(b), e_++)

static void
test_both_lanes(void **state)
{
	struct bench b;

	(void)state;
	EACH_ENGINE(&b)
	{
		transfer(&b, b.client, b.server, BULK);
		transfer(&b, b.server, b.client, BULK);
		assert_int_equal(b.relay.lanes[RELAY_UP].bytes, BULK);
		assert_int_equal(b.relay.lanes[RELAY_DOWN].bytes, BULK);
		assert_ptr_equal(b.relay.engine,
		    engines[e_] ? &relay_splice : &relay_buffer);
		/* At rest a flow holds its two sockets and no pipe. */
		assert_null(b.relay.lanes[RELAY_UP].pipe);
		assert_null(b.relay.lanes[RELAY_DOWN].pipe);
	}
}

static void
test_conversation_is_not_bulk(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 8192);
	for (int i = 0; i < 100; i++) {
		transfer(&b, b.client, b.server, 1000);
		transfer(&b, b.server, b.client, 1000);
	}
	assert_ptr_equal(b.relay.engine, &relay_buffer);
	transfer(&b, b.client, b.server, BULK);
	assert_ptr_equal(b.relay.engine, &relay_splice);
	end(&b);
}

static void
test_half_close(void **state)
{
	struct bench b;
	char c;

	(void)state;
	EACH_ENGINE(&b)
	{
		transfer(&b, b.client, b.server, 100000);
		shutdown(b.client, SHUT_WR);
		assert_int_equal(receive(&b, b.server, &c, 1), 0);
		assert_int_equal(b.n_outcomes, 1);
		assert_int_equal(b.outcomes[0], RELAY_HALF_CLOSED);
		transfer(&b, b.server, b.client, 100000);
		shutdown(b.server, SHUT_WR);
		assert_int_equal(receive(&b, b.client, &c, 1), 0);
		assert_int_equal(b.outcomes[1], RELAY_FINISHED);
		assert_int_equal(b.relay.first_finished, RELAY_UP);
	}
}

static void
test_bytes_before_reset(void **state)
{
	char data[5000] = "";
	struct bench b;
	ssize_t n;

	(void)state;
	EACH_ENGINE(&b)
	{
		transfer(&b, b.client, b.server, 100000);
		assert_int_equal(send(b.client, data, 5000, 0), 5000);
		reset_by(b.client);
		close(b.client);
		b.client = dup(b.server);
		n = receive(&b, b.server, data, sizeof(data));
		assert_int_equal(n, 5000);
		for (int i = 0; i < 100; i++)
			turn(&b);
		assert_true(b.relay.legs[RELAY_CLIENT].failed);
		if (b.relay.engine) /* the owner polls while it is failing */
			assert_true(relay_flushed(&b.relay));
	}
}

static void
test_stalled_reader_bounds_the_queue(void **state)
{
	static char data[BULK];
	struct bench b;

	(void)state;
	EACH_ENGINE(&b)
	{
		size_t most = 0;

		for (int i = 0; i < 400; i++) {
			size_t held;

			send(b.server, data, sizeof(data), MSG_NOSIGNAL);
			turn(&b);
			held = relay_held(&b.relay.lanes[RELAY_DOWN]);
			most = held > most ? held : most;
		}
		assert_true(most > 0);
		assert_true(most <= BUFFER);
	}
}

static void
test_reset_while_paused_is_seen(void **state)
{
	static char data[BULK];
	struct bench b;

	(void)state;
	EACH_ENGINE(&b)
	{
		for (int i = 0; i < 400; i++) {
			send(b.server, data, sizeof(data), MSG_NOSIGNAL);
			turn(&b);
		}
		reset_by(b.server);
		close(b.server);
		b.server = dup(b.client);
		for (int i = 0; i < 100 && !b.n_outcomes; i++)
			turn(&b);
		assert_int_equal(b.n_outcomes, 1);
		assert_int_equal(b.outcomes[0], RELAY_FAILING);
		assert_true(b.relay.legs[RELAY_SERVER].failed);
	}
}

/* The reader of the down lane has stopped: all that may be held is. */
static void
stall(struct bench *b)
{
	static char data[BULK];

	for (int i = 0; i < 400; i++) {
		send(b->server, data, sizeof(data), MSG_NOSIGNAL);
		turn(b);
	}
}

static void
test_reset_with_the_change_of_engine_is_seen(void **state)
{
	struct bench b;

	(void)state;
	begin(&b, 1);
	stall(&b);
	assert_ptr_equal(b.relay.engine, &relay_splice);
	b.relay.lanes[RELAY_DOWN].most = 4096;
	reset_by(b.server);
	close(b.server);
	b.server = dup(b.client);
	for (int i = 0; i < 100 && !b.n_outcomes; i++)
		turn(&b);
	assert_ptr_equal(b.relay.engine, &relay_buffer);
	assert_int_equal(b.n_outcomes, 1);
	assert_int_equal(b.outcomes[0], RELAY_FAILING);
	end(&b);
}

static void
test_relief_stays_within_the_buffer(void **state)
{
	struct bench b;
	struct lane *lane = &b.relay.lanes[RELAY_DOWN];
	size_t held;

	(void)state;
	begin(&b, 0);
	lane->most = BUFFER / 2;
	stall(&b);
	held = relay_held(lane);
	assert_true(held > 0 && held <= BUFFER / 2);
	relay_relieve(&b.relay, lane, 8192);
	turn(&b);
	assert_int_equal(relay_held(lane), held + 8192);
	relay_relieve(&b.relay, lane, BUFFER);
	turn(&b);
	assert_int_equal(relay_held(lane), BUFFER);
	end(&b);
}

/* What is learnt of a path rests on it: relay_full_ms. */
static void
test_a_lane_held_short_knows_that_it_is_full(void **state)
{
	static char data[BULK];
	struct bench b;
	struct leg *to = &b.relay.legs[RELAY_CLIENT];
	struct lane *lane = &b.relay.lanes[RELAY_DOWN];
	int full = 0, unsent = 4096;

	(void)state;
	begin(&b, 0);
	b.relay.buffer = BULK;
	lane->most = BULK / 2;
	setsockopt(
	    to->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	for (int i = 0; i < 2000; i++) {
		send(b.server, data, sizeof(data), MSG_NOSIGNAL);
		turn(&b);
		recv(b.client, data, sizeof(data), 0);
		if (!relay_held(lane) || to->writable)
			continue;
		assert_true(to->full_since_ms);
		full++;
	}
	assert_true(full > 0);
	end(&b);
}

/* Without descriptors for a pipe the buffer engine carries on. */
static void
test_no_pipes(void **state)
{
	struct rlimit old, few;
	struct bench b;

	(void)state;
	begin(&b, 1);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)b.server; /* below what is open already */
	setrlimit(RLIMIT_NOFILE, &few);
	transfer(&b, b.client, b.server, BULK);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_ptr_equal(b.relay.engine, &relay_buffer);
	assert_true(b.relay.splice_after > BULK);
	end(&b);
}

/* The client has sent bulk and then "ab!", with an urgent mark at its end. */
static void
send_urgent(struct bench *b)
{
	int one = 1;

	for (int i = 0; i < 2; i++)
		setsockopt(b->relay.legs[i].fd, SOL_SOCKET, SO_OOBINLINE, &one,
		    sizeof(one));
	transfer(b, b->client, b->server, 100000);
	send(b->client, "ab!", 3, MSG_OOB);
}

static void
expect(struct bench *b, const char *text)
{
	char data[16] = { 0 };

	for (ssize_t n, got = 0; got < (ssize_t)strlen(text); got += n) {
		n = receive(b, b->server, data + got, 16);
		assert_true(n > 0);
	}
	assert_string_equal(data, text);
}

static void
test_urgent_byte_stays_in_line(void **state)
{
	struct bench b;

	(void)state;
	EACH_ENGINE(&b)
	{
		send_urgent(&b);
		send(b.client, "cd", 2, 0);
		expect(&b, "ab!cd");
	}
}

static void
test_urgent_byte_before_reset(void **state)
{
	struct bench b;

	(void)state;
	EACH_ENGINE(&b)
	{
		send_urgent(&b);
		reset_by(b.client);
		close(b.client);
		b.client = dup(b.server);
		expect(&b, "ab!");
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_lanes),
		cmocka_unit_test(test_conversation_is_not_bulk),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_bytes_before_reset),
		cmocka_unit_test(test_stalled_reader_bounds_the_queue),
		cmocka_unit_test(test_reset_while_paused_is_seen),
		cmocka_unit_test(test_reset_with_the_change_of_engine_is_seen),
		cmocka_unit_test(test_relief_stays_within_the_buffer),
		cmocka_unit_test(test_a_lane_held_short_knows_that_it_is_full),
		cmocka_unit_test(test_no_pipes),
		cmocka_unit_test(test_urgent_byte_stays_in_line),
		cmocka_unit_test(test_urgent_byte_before_reset),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
