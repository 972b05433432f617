/* One direction of the lab's link, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../lab/wire.h"

#define MS 1000000u

/* 8 Mbit/s: a packet of 1,000 bytes takes a millisecond. */
static void
set_up(struct wire *w)
{
	wire_init(w);
	w->rate = 8e6;
	w->delay = 50 * MS;
	w->limit = 10000;
}

static void
arrive(struct wire *w, uint64_t now, unsigned char mark)
{
	struct packet *p = calloc(1, sizeof(*p) + 1000);

	assert_non_null(p);
	p->size = 1000;
	p->bytes[0] = mark;
	wire_arrive(w, now, p);
}

/* The mark of the packet that is due at NOW; 0 when none is. */
static unsigned char
take(struct wire *w, uint64_t now)
{
	struct packet *p = wire_take(w, now);
	unsigned char mark = p ? p->bytes[0] : 0;

	free(p);
	return mark;
}

static void
test_rate_and_delay(void **state)
{
	struct wire w;

	(void)state;
	set_up(&w);
	assert_true(wire_next(&w) == WIRE_NEVER);
	arrive(&w, 0, 1);
	arrive(&w, 0, 2);
	arrive(&w, 20 * MS, 3);
	assert_int_equal(wire_next(&w), 51 * MS);
	assert_int_equal(take(&w, 51 * MS - 1), 0);
	assert_int_equal(take(&w, 51 * MS), 1);
	assert_int_equal(wire_next(&w), 52 * MS);
	assert_int_equal(take(&w, 52 * MS), 2);
	assert_int_equal(wire_next(&w), 71 * MS);
	assert_int_equal(take(&w, 71 * MS), 3);
	assert_true(wire_next(&w) == WIRE_NEVER);
	assert_int_equal(w.counts.delivered, 3);
	wire_clear(&w);
}

static void
test_queue_drops_what_comes_last(void **state)
{
	struct wire w;

	(void)state;
	set_up(&w);
	for (unsigned char i = 1; i <= 12; i++)
		arrive(&w, 0, i);
	assert_int_equal(w.counts.dropped, 2);
	assert_int_equal(w.counts.queue_max, 10000);
	arrive(&w, 3 * MS, 13); /* three have left */
	assert_int_equal(w.counts.dropped, 2);
	assert_int_equal(w.counts.queue_now, 8000);
	for (unsigned char i = 1; i <= 10; i++)
		assert_int_equal(take(&w, 100 * MS), i);
	assert_int_equal(take(&w, 100 * MS), 13);
	assert_int_equal(w.counts.queue_now, 0);
	wire_clear(&w);
}

static void
test_jitter_keeps_the_order(void **state)
{
	struct wire w;
	uint64_t before = 0, spread = 0;

	(void)state;
	set_up(&w);
	w.jitter = 20 * MS;
	w.limit = 1u << 20;
	for (unsigned char i = 1; i <= 200; i++)
		arrive(&w, i * MS, i);
	for (unsigned char i = 1; i <= 200; i++) {
		uint64_t due = wire_next(&w), plain = (i + 51) * (uint64_t)MS;

		assert_true(due >= before && due >= plain);
		/* It may have waited for one that was late. */
		assert_true(due <= plain + w.jitter);
		if (due - plain > spread)
			spread = due - plain;
		before = due;
		assert_int_equal(take(&w, due), i);
	}
	assert_true(spread > 15 * MS);
	wire_clear(&w);
}

static void
test_loss_takes_its_time(void **state)
{
	struct wire w;

	(void)state;
	set_up(&w);
	w.loss.good = 1;
	arrive(&w, 0, 1);
	assert_int_equal(take(&w, MS), 0);
	assert_int_equal(w.counts.lost, 1);
	w.loss.good = 0;
	arrive(&w, 0, 2);
	assert_int_equal(wire_next(&w), 52 * MS);
	assert_int_equal(take(&w, 52 * MS), 2);
	wire_clear(&w);
}

static void
test_changes_while_packets_are_under_way(void **state)
{
	struct wire w;

	(void)state;
	set_up(&w);
	arrive(&w, 0, 1);
	arrive(&w, 0, 2);
	assert_int_equal(take(&w, MS), 0); /* the first has left */
	w.delay = 10 * MS;
	w.rate = 4e6;
	assert_int_equal(take(&w, 3 * MS), 0); /* the second has, too */
	assert_int_equal(take(&w, 50 * MS), 0);
	assert_int_equal(take(&w, 51 * MS), 1);
	assert_int_equal(take(&w, 51 * MS), 2); /* not before the first */
	arrive(&w, 60 * MS, 3);
	assert_int_equal(wire_next(&w), 72 * MS);
	wire_clear(&w);
}

static void
test_reset_begins_with_packet_0(void **state)
{
	struct wire w;
	bool lost[100];

	(void)state;
	set_up(&w);
	w.loss.good = 0.3;
	w.limit = 1u << 20;
	for (unsigned round = 0; round < 2; round++) {
		uint64_t from = round * 1000ull * MS;

		for (unsigned char i = 1; i <= 100; i++)
			arrive(&w, from, i);
		for (unsigned i = 0, next = 0; i < 100; i++) {
			if (next <= i)
				next = take(&w, from + 500 * MS);
			assert_true(!round || lost[i] == (next != i + 1));
			lost[i] = next != i + 1;
		}
		assert_int_equal(w.counts.packets, 100);
		assert_in_range(w.counts.lost, 15, 45);
		wire_reset(&w);
	}
	wire_clear(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate_and_delay),
		cmocka_unit_test(test_queue_drops_what_comes_last),
		cmocka_unit_test(test_jitter_keeps_the_order),
		cmocka_unit_test(test_loss_takes_its_time),
		cmocka_unit_test(test_changes_while_packets_are_under_way),
		cmocka_unit_test(test_reset_begins_with_packet_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
