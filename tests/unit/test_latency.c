/* How a lane's room is shared out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/latency.h"

#define MBIT UINT64_C(125000) /* bytes a second */
#define K 1024

static struct latency_share
divide(uint64_t rate, int64_t ms, uint32_t rtt_us)
{
	struct latency_share s = {
		.bound_ms = ms,
		.rate = rate,
		.pacing = rate,
		.rtt_us = rtt_us,
		.mss = 1448,
	};

	latency_divide(&s);
	return s;
}

/* What waits when the window is full: what is under way does not. */
static uint64_t
waiting(const struct latency_share *s)
{
	return s->unsent + s->held + s->window - s->rate * s->rtt_us / 1000000;
}

static void
test_the_sum_stays_below_the_bound(void **state)
{
	static const uint64_t rates[] = { 3, 5, 20, 50, 200, 1000 };
	static const uint32_t trips[] = { 100, 2000, 20000, 100000 };

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < 4; j++) {
			uint64_t rate = rates[i] * MBIT;
			struct latency_share s = divide(rate, 50, trips[j]);

			if (!s.window)
				continue;
			assert_true(waiting(&s) <= rate * 50 / 1000);
			assert_true(s.window > rate * trips[j] / 1000000);
		}
}

static void
test_slow_lanes_can_work(void **state)
{
	struct latency_share s = divide(1000, 5, 100);

	(void)state;
	assert_true(s.unsent >= 4 * K && s.held >= 4 * K);
	assert_true(s.window >= 4 * 1448);
	/* The loopback's segments have 64 KiB. */
	s.mss = 65483;
	latency_divide(&s);
	assert_true(s.window >= 4 * 65483);
}

static void
test_fast_lanes_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(divide(10000 * MBIT, 50, 100).window, 0);
	assert_int_equal(divide(1000 * MBIT, 50, 100000).window, 0);
	assert_true(divide(1000 * MBIT, 50, 100).window > 0);
	assert_true(divide(1000 * MBIT, 50, 100).held >= 256 * K);
}

static void
test_a_sender_that_gathers_speed_gets_more(void **state)
{
	struct latency_share s = divide(20 * MBIT, 50, 20000), more = s;

	(void)state;
	more.pacing = 58 * MBIT;
	latency_divide(&more);
	assert_true(more.window - s.window >= 38 * MBIT / 50);
	assert_true(more.unsent > s.unsent);
	/* The kernel may name any figure before it has measured. */
	more.pacing = UINT64_MAX / 8;
	latency_divide(&more);
	assert_true(more.window <= 5 * s.window);
}

/* Each time that the whole window was used in a round trip. */
static void
test_a_window_that_limits_grows(void **state)
{
	struct latency_share s = divide(5 * MBIT, 5, 300000);
	uint32_t window = s.window;

	(void)state;
	for (int i = 0; i < 4; i++) {
		s.rate = s.pacing = s.drawn = (uint64_t)window * 10 / 3;
		latency_divide(&s);
		assert_true(s.window >= 19 * (uint64_t)window / 10);
		window = s.window;
	}
}

static void
test_no_rate_yet(void **state)
{
	struct latency_share s = divide(0, 50, 300000);

	(void)state;
	assert_int_equal(s.window, 64 * K);
	assert_int_equal(s.unsent, 32 * K);
	assert_int_equal(s.held, 16 * K);
}

static void
test_a_way_of_unknown_length(void **state)
{
	(void)state;
	assert_int_equal(divide(20 * MBIT, 50, 0).window, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_sum_stays_below_the_bound),
		cmocka_unit_test(test_slow_lanes_can_work),
		cmocka_unit_test(test_fast_lanes_are_left_alone),
		cmocka_unit_test(test_a_sender_that_gathers_speed_gets_more),
		cmocka_unit_test(test_a_window_that_limits_grows),
		cmocka_unit_test(test_no_rate_yet),
		cmocka_unit_test(test_a_way_of_unknown_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
