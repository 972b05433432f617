/* What "auto" makes of what flows achieve: a pure function of a sequence. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/choosers.h"

#define BOTH 3u

/* Interned: compared as pointers. */
static const char cubic[] = "cubic", bbr[] = "bbr", reno[] = "reno";
static const char *const two[] = { cubic, bbr };

static uint32_t
roll(uint32_t *dice)
{
	*dice = *dice * 1664525u + 1013904223u;
	return *dice;
}

/* --- one chooser ------------------------------------------------------ */

/* So many of N flows that are not told of get ARM. */
static size_t
count_picks(struct chooser *c, size_t arm, size_t n)
{
	uint32_t dice = 1;
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += chooser_pick(c, 2, BOTH, roll(&dice)) == arm;
	return count;
}

/* As long as nothing is known each has its turn, whatever the dice say. */
static void
on_start(void **state)
{
	struct chooser c = { 0 };

	(void)state;
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(
		    chooser_pick(&c, 3, 7, 0x40000000u * (uint32_t)i), i % 3);
	assert_int_equal(chooser_best(&c, 3, 7), 3);
	chooser_learn(&c, 0, 20, 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(chooser_pick(&c, 3, 7, 0), 1 + i % 2);
	chooser_learn(&c, 1, 10, 0);
	assert_int_equal(chooser_pick(&c, 3, 7, 0), 2);
	chooser_learn(&c, 2, 30, 0);
	assert_int_equal(chooser_best(&c, 3, 7), 1);
	assert_int_equal(chooser_best(&c, 3, 5), 0);
}

/* The best has most flows, the other a twelfth, and never waits for long. */
static void
on_share(void **state)
{
	struct chooser c = { 0 };
	size_t wait = 0, longest = 0;
	uint32_t dice = 5;

	(void)state;
	chooser_learn(&c, 0, 10, 0);
	chooser_learn(&c, 1, 200, 0);
	assert_in_range(count_picks(&c, 1, 9000), 650, 850);
	for (size_t i = 0; i < 5000; i++) {
		wait = chooser_pick(&c, 2, BOTH, roll(&dice)) ? 0 : wait + 1;
		longest = wait > longest ? wait : longest;
	}
	assert_in_range(longest, 8, 16);
	/* One that may not be had gets nothing. */
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(chooser_pick(&c, 2, 1, roll(&dice)), 0);
}

/* One flow that gets stuck moves the mean little; two are the truth. */
static void
on_surprise(void **state)
{
	struct chooser c = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++)
		chooser_learn(&c, 0, 10, 0);
	chooser_learn(&c, 1, 25, 0);
	chooser_learn(&c, 0, 5000, 0);
	assert_int_equal(chooser_best(&c, 2, BOTH), 0);
	assert_true(c.arms[0].cost < 18);
	chooser_learn(&c, 0, 10, 0);
	assert_int_equal(chooser_best(&c, 2, BOTH), 0);
	chooser_learn(&c, 0, 400, 0);
	chooser_learn(&c, 0, 400, 0);
	assert_true(c.arms[0].cost == 400);
	assert_int_equal(chooser_best(&c, 2, BOTH), 1);
	/* It was as good as the best, once: half the flows ask again. */
	chooser_learn(&c, 0, 20, 0);
	assert_int_equal(chooser_best(&c, 2, BOTH), 1);
	assert_in_range(count_picks(&c, 0, 1000), 440, 560);
	chooser_learn(&c, 0, 21, 0);
	assert_true(c.arms[0].cost == 21);
	assert_int_equal(chooser_best(&c, 2, BOTH), 0);
}

/* What is an hour old weighs less than what is new. */
static void
on_age(void **state)
{
	struct chooser young = { 0 }, old = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++) {
		chooser_learn(&young, 0, 10, 1000);
		chooser_learn(&old, 0, 10, 1000);
	}
	chooser_learn(&young, 0, 14, 2000);
	chooser_learn(&old, 0, 14, 3600000);
	assert_true(young.arms[0].cost > 10.9 && young.arms[0].cost < 11.1);
	assert_true(old.arms[0].cost > 12.5 && old.arms[0].cost < 14);
}

/* --- a path that changes ---------------------------------------------- */

/* What a byte takes with each arm, in ns, before and after. */
struct change {
	double before[2], after[2];
};

/*
 * A flow of the arm, with 30 % of noise. What does badly is given up on
 * the way: it costs the flow three quarters more than the better one.
 */
static double
run_flow(struct chooser *c, const double costs[2], uint32_t *dice)
{
	size_t best = chooser_best(c, 2, BOTH);
	size_t arm = chooser_pick(c, 2, BOTH, roll(dice));
	double noise = 0.7 + 0.6 * roll(dice) / 4294967296.0;
	double cost = costs[arm] * noise, paid = cost;

	if (best < 2 && arm != best && cost > 2 * c->arms[best].cost)
		paid = 1.75 * costs[best];
	chooser_learn(c, arm, cost, 0);
	return (paid < cost ? paid : cost) / noise;
}

/* The goodput of flows 20 to 59 after it, as a share of the better one's. */
static double
share_after(const struct change *change, uint32_t seed)
{
	const double *after = change->after;
	double better = after[0] < after[1] ? after[0] : after[1], sum = 0;
	struct chooser c = { 0 };
	uint32_t dice = seed * 2654435761u;

	for (size_t i = 0; i < 60; i++)
		run_flow(&c, change->before, &dice);
	for (size_t i = 0; i < 60; i++) {
		double cost = run_flow(&c, after, &dice);

		if (i >= 20)
			sum += better / cost;
	}
	return sum / 40;
}

/* Within a tenth of the better one after 20 flows, whatever happens. */
static void
on_change(void **state)
{
	enum { SEEDS = 300 };
	static const struct change changes[] = {
		{ { 100, 110 }, { 2000, 120 } }, /* turns lossy */
		{ { 2000, 120 }, { 100, 120 } }, /* and back */
		{ { 2000, 120 }, { 100, 110 } },
		{ { 100, 300 }, { 300, 100 } },
		{ { 100, 120 }, { 1000, 1200 } }, /* slower, for both */
		{ { 1000, 1500 }, { 150, 100 } }, /* faster, for both */
		{ { 100, 100 }, { 100, 100 } },
		{ { 100, 150 }, { 150, 100 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		double mean = 0;
		size_t good = 0;

		for (uint32_t seed = 1; seed <= SEEDS; seed++) {
			double share = share_after(&changes[i], seed);

			mean += share / SEEDS;
			good += share >= 0.85;
		}
		if (mean < 0.9 || good < SEEDS * 9 / 10)
			fail_msg("change %zu: %.3f, good %zu of %d", i, mean,
			    good, SEEDS);
	}
}

/* --- the table -------------------------------------------------------- */

static struct choosers_key
key_of(const char *policy, unsigned side, const char *address)
{
	struct choosers_key key = { .policy = policy, .side = side };
	struct addr a;

	assert_int_equal(addr_parse(&a, address, 0), 0);
	key.peers = choosers_network(&a);
	return key;
}

/* A flow of so many bytes at RATE, in Mbit/s. */
static void
tell(struct choosers *cs, const struct choosers_key *key, const char *name,
    uint64_t bytes, uint64_t rate)
{
	const struct choosers_flow flow = {
		.bytes = bytes,
		.busy_us = 8 * bytes / rate,
	};

	choosers_learn(cs, key, name, &flow, 0);
}

static size_t
count_named(struct choosers *cs, const struct choosers_key *key,
    const char *name, size_t n, int64_t now_ms)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += choosers_pick(cs, key, two, 2, now_ms).name == name;
	return count;
}

/* Policies, legs and networks learn apart; hosts of one network together. */
static void
on_keys(void **state)
{
	static const char office[] = "office", guests[] = "guests";
	struct choosers *cs = choosers_new();
	struct choosers_key keys[] = {
		key_of(office, 0, "192.0.2.1"),
		key_of(office, 0, "192.0.3.1"),
		key_of(office, 1, "192.0.2.1"),
		key_of(guests, 0, "192.0.2.1"),
		key_of(office, 0, "2001:db8:1::1"),
		key_of(office, 0, "2001:db8:2::1"),
	};
	struct choosers_key same = key_of(office, 0, "192.0.2.250");
	struct choosers_key same6 = key_of(office, 0, "2001:db8:1:5::9");
	struct choosers_choice choice;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		assert_int_equal(count_named(cs, &keys[i], bbr, 10, 1), 5);
		tell(cs, &keys[i], two[i % 2], 1 << 20, 50);
		tell(cs, &keys[i], two[!(i % 2)], 1 << 20, 5);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_in_range(
		    count_named(cs, &keys[i], two[i % 2], 100, 1), 75, 99);
	assert_in_range(count_named(cs, &same, cubic, 100, 1), 75, 99);
	assert_in_range(count_named(cs, &same6, cubic, 100, 1), 75, 99);
	do {
		choice = choosers_pick(cs, &same, two, 2, 1);
		assert_true((choice.name == bbr) == (choice.better == cubic));
	} while (choice.name != bbr);
	assert_in_range((int)choice.cost, 159, 161); /* 50 Mbit/s */
	choosers_free(cs);
}

/* Flows of one size are not compared with those of another. */
static void
on_sizes(void **state)
{
	static const char policy[] = "all";
	struct choosers *cs = choosers_new();
	struct choosers_key key = key_of(policy, 0, "192.0.2.1");

	(void)state;
	choosers_pick(cs, &key, two, 2, 0);
	tell(cs, &key, cubic, 1 << 20, 10);
	tell(cs, &key, bbr, 1 << 20, 9);
	assert_in_range(count_named(cs, &key, cubic, 100, 1), 75, 99);
	/* With bbr came the larger ones, which are faster anyhow. */
	tell(cs, &key, bbr, 4 << 20, 20);
	tell(cs, &key, cubic, 4 << 20, 30);
	for (int i = 0; i < 9; i++)
		tell(cs, &key, bbr, 4 << 20, 20);
	assert_in_range(count_named(cs, &key, cubic, 100, 1), 75, 99);
	choosers_free(cs);
}

/* For ten minutes what the kernel refuses is left out. */
static void
on_refusal(void **state)
{
	static const char policy[] = "all";
	struct choosers *cs = choosers_new();
	struct choosers_key key = key_of(policy, 0, "192.0.2.1");

	(void)state;
	choosers_pick(cs, &key, two, 2, 1000);
	choosers_refuse(cs, &key, bbr, 1000);
	assert_int_equal(count_named(cs, &key, bbr, 100, 2000), 0);
	assert_true(count_named(cs, &key, bbr, 100, 602000) > 0);
	choosers_refuse(cs, &key, bbr, 602000);
	choosers_refuse(cs, &key, cubic, 602000);
	assert_true(count_named(cs, &key, bbr, 100, 603000) > 0);
	choosers_free(cs);
}

/* A reload may bring others; what is known of the rest stays. */
static void
on_reload(void **state)
{
	static const char policy[] = "all";
	static const char *const other[] = { reno, bbr };
	struct choosers *cs = choosers_new();
	struct choosers_key key = key_of(policy, 0, "192.0.2.1");
	struct choosers_view view;

	(void)state;
	choosers_pick(cs, &key, two, 2, 0);
	tell(cs, &key, cubic, 1 << 20, 10);
	tell(cs, &key, bbr, 1 << 20, 20);
	assert_ptr_equal(choosers_pick(cs, &key, other, 2, 0).name, reno);
	tell(cs, &key, cubic, 1 << 20, 90); /* from before */
	assert_int_equal(choosers_look(cs, policy, 0, &view, 1), 1);
	assert_int_equal(view.n, 2);
	assert_string_equal(view.arms[0].name, "reno");
	assert_int_equal(view.arms[0].rate, 0);
	assert_int_equal(view.arms[1].rate / 1000000, 20);
	assert_int_equal(view.arms[1].told, 1);
	assert_int_equal(view.best, 1);
	choosers_free(cs);
}

/* However many networks there are, the last ones are known. */
static void
on_many(void **state)
{
	enum { ALL = 60000, LAST = 4 };
	static const char policy[] = "all";
	struct choosers *cs = choosers_new();
	struct choosers_view views[LAST];
	char text[64];
	size_t n;

	(void)state;
	for (int i = 0; i < ALL; i++) {
		struct choosers_key key;

		snprintf(text, sizeof(text), "10.%d.%d.1", i >> 8, i & 255);
		key = key_of(policy, 0, text);
		choosers_pick(cs, &key, two, 2, i + 1);
	}
	n = choosers_look(cs, policy, 0, views, LAST);
	assert_in_range(n, 2000, 4096);
	for (int i = 0; i < LAST; i++) {
		char found[PREFIX_TEXT_MAX];

		snprintf(text, sizeof(text), "10.%d.%d.0/24",
		    (ALL - 1 - i) >> 8, (ALL - 1 - i) & 255);
		assert_string_equal(
		    prefix_format(&views[i].peers, found), text);
	}
	assert_int_equal(choosers_look(cs, "other", 0, views, LAST), 0);
	choosers_free(cs);
}

#define ROUNDS 20000

static void *
use(void *arg)
{
	struct choosers_key key = { .policy = cubic };

	for (int i = 0; i < ROUNDS; i++) {
		struct choosers_choice choice;

		key.peers = (struct prefix){ .family = AF_INET, .len = 24 };
		key.peers.bytes[2] = (uint8_t)(i % 3);
		choice = choosers_pick(arg, &key, two, 2, i);
		assert_true(choice.name == cubic || choice.name == bbr);
		tell(arg, &key, choice.name, 1 << 20, 10);
	}
	return NULL;
}

/* Threads share it, and nothing of it is torn. */
static void
on_threads(void **state)
{
	enum { THREADS = 4 };
	struct choosers *cs = choosers_new();
	struct choosers_view views[4];
	pthread_t threads[THREADS];
	uint64_t flows = 0;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, cs), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(choosers_look(cs, cubic, 0, views, 4), 3);
	for (size_t i = 0; i < 3; i++) {
		flows += views[i].arms[0].flows + views[i].arms[1].flows;
		assert_int_equal(views[i].arms[0].rate / 100000, 100);
	}
	/* A few may have found it busy. */
	assert_in_range(flows, THREADS * ROUNDS / 2, THREADS * ROUNDS);
	choosers_free(cs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_start),
		cmocka_unit_test(on_share),
		cmocka_unit_test(on_surprise),
		cmocka_unit_test(on_age),
		cmocka_unit_test(on_change),
		cmocka_unit_test(on_keys),
		cmocka_unit_test(on_sizes),
		cmocka_unit_test(on_refusal),
		cmocka_unit_test(on_reload),
		cmocka_unit_test(on_many),
		cmocka_unit_test(on_threads),
	};

	return cmocka_run_group_tests_name("chooser", tests, NULL, NULL);
}
