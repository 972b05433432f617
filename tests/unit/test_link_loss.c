/* Which packets the lab's link loses: always the same, as many as asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lab/loss.h"

#define PACKETS 200000

/* Loses packets of L; how many, and how many directly after another. */
static unsigned
lose(struct loss *l, unsigned *in_a_row)
{
	unsigned lost = 0;
	bool before = false;

	*in_a_row = 0;
	for (unsigned i = 0; i < PACKETS; i++) {
		bool now = loss_next(l);

		lost += now;
		*in_a_row += now && before;
		before = now;
	}
	return lost;
}

static void
test_bernoulli_loses_its_share(void **state)
{
	static const double shares[] = { 0, 0.001, 0.01, 0.05, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		struct loss l = { .good = shares[i], .seed = 7 };
		double wanted = PACKETS * shares[i];
		unsigned row, lost = lose(&l, &row);

		/* A tenth is six standard deviations of the least. */
		assert_true(lost >= wanted * 0.7 && lost <= wanted * 1.3);
		assert_true(row <= wanted * shares[i] * 1.3 + 5);
	}
}

static void
test_a_seed_names_the_packets(void **state)
{
	struct loss a = { .good = 0.1, .seed = 1 }, b = a, c = a;
	unsigned same = 0;

	(void)state;
	c.seed = 2;
	for (unsigned i = 0; i < PACKETS; i++) {
		bool lost = loss_next(&a);

		assert_int_equal(lost, loss_next(&b));
		same += lost && loss_next(&c);
		c.index = i + 1;
	}
	/* Two seeds agree by chance alone: a hundredth of the packets. */
	assert_in_range(same, PACKETS / 100 * 8 / 10, PACKETS / 100 * 12 / 10);
	loss_reset(&a);
	loss_reset(&b);
	b.index = 1000;
	for (unsigned i = 0; i < 1000; i++)
		(void)loss_next(&a);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(loss_next(&a), loss_next(&b));
}

/* A fifth of the time bad, for 20 packets on end, and half is lost there. */
static void
test_bursts(void **state)
{
	struct loss l = {
		.bad = 0.5, .to_bad = 0.0125, .to_good = 0.05, .seed = 3
	};
	unsigned row, lost = lose(&l, &row);

	(void)state;
	assert_in_range(lost, PACKETS / 10 * 8 / 10, PACKETS / 10 * 12 / 10);
	/* After a loss the next is lost with 0.95 of a half. */
	assert_in_range(row, lost * 42 / 100, lost * 53 / 100);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bernoulli_loses_its_share),
		cmocka_unit_test(test_a_seed_names_the_packets),
		cmocka_unit_test(test_bursts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
