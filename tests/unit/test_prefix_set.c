#include "conf/prefix_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MANY 100000
#define ASKED 4096

/* Random prefixes out of so few bits that they nest and repeat. */
static struct prefix_tag
random_prefix(uint32_t tag)
{
	struct prefix_tag item = { .tag = tag };
	struct prefix *p = &item.prefix;
	unsigned max;

	p->family = unit_random() % 2 ? AF_INET6 : AF_INET;
	max = p->family == AF_INET6 ? 128 : 32;
	p->len = (uint8_t)(max - unit_random() % (max == 32 ? 33 : 129));
	if (unit_random() % 2)
		p->len = (uint8_t)(max - unit_random() % 5);
	for (unsigned bit = 0; bit < p->len; bit++)
		if (bit + 6 >= max || bit < 2)
			p->bytes[bit / 8] |=
			    (uint8_t)((unit_random() & 1) << (7 - bit % 8));
	return item;
}

static struct addr
random_addr(void)
{
	struct prefix_tag item = random_prefix(0);
	struct addr a = { 0 };

	a.sa.sa_family = item.prefix.family;
	if (a.sa.sa_family == AF_INET6)
		memcpy(&a.in6.sin6_addr, item.prefix.bytes, 16);
	else
		memcpy(&a.in4.sin_addr, item.prefix.bytes, 4);
	return a;
}

static bool
count_tag(void *arg, uint32_t tag)
{
	unsigned *seen = arg;

	seen[tag]++;
	return false;
}

/* Every prefix that contains an address is visited, once, and no other. */
static void
test_visit_against_naive(void **state)
{
	enum { N = 40 };

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct prefix_tag items[N];
		size_t n = unit_random() % (N + 1);
		struct prefix_set *set;

		for (uint32_t i = 0; i < n; i++)
			items[i] = random_prefix(i);
		set = prefix_set_new(items, n);
		assert_non_null(set);
		for (int probe = 0; probe < 100; probe++) {
			struct addr a = random_addr();
			unsigned seen[N] = { 0 };
			bool any = false;

			prefix_set_visit(set, &a, count_tag, seen);
			for (size_t i = 0; i < n; i++) {
				bool in = prefix_contains(&items[i].prefix, &a);

				assert_int_equal(seen[i], in);
				any |= in;
			}
			assert_int_equal(prefix_set_contains(set, &a), any);
		}
		prefix_set_free(set);
	}
}

static bool
stop_at_two(void *arg, uint32_t tag)
{
	unsigned *seen = arg;

	return ++*seen == 2 && tag == 1;
}

static void
test_narrow_first_and_stop(void **state)
{
	const struct prefix_tag items[] = {
		{ unit_prefix("0.0.0.0/0"), 0 },
		{ unit_prefix("10.0.0.0/8"), 1 },
		{ unit_prefix("10.0.0.0/16"), 2 },
	};
	struct prefix_set *set = prefix_set_new(items, 3);
	struct addr a = unit_addr("10.0.2.3", 0);
	unsigned seen = 0;

	(void)state;
	assert_true(prefix_set_visit(set, &a, stop_at_two, &seen));
	assert_int_equal(seen, 2);
	prefix_set_free(set);
	prefix_set_free(NULL);
}

static bool
is_even(void *arg, uint32_t tag)
{
	(void)arg;
	return tag % 2 == 0;
}

/* Each address of P, one by one. */
static bool
naive_covers(const struct prefix_tag *items, size_t n, const struct prefix *p)
{
	struct addr a = { 0 };

	a.sa.sa_family = AF_INET;
	for (unsigned i = 0; i < 1u << (32 - p->len); i++) {
		bool in = false;

		memcpy(&a.in4.sin_addr, p->bytes, 4);
		((uint8_t *)&a.in4.sin_addr)[3] |= (uint8_t)i;
		for (size_t j = 0; j < n; j++)
			in |= items[j].tag % 2 == 0 &&
			    prefix_contains(&items[j].prefix, &a);
		if (!in)
			return false;
	}
	return true;
}

/* A random prefix of the /27 at 0.0.0.0. */
static struct prefix
small_prefix(unsigned shortest, unsigned longest)
{
	struct prefix p = { .family = AF_INET };

	p.len = (uint8_t)(shortest + unit_random() % (longest - shortest + 1));
	p.bytes[3] = (uint8_t)(unit_random() % 32 & 0xffu << (32 - p.len));
	return p;
}

static void
test_covers_against_naive(void **state)
{
	enum { N = 10, ROUNDS = 20000 };
	unsigned covered = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct prefix want = small_prefix(27, 30);
		struct prefix_tag items[N];
		struct prefix_set *set;
		bool is;

		for (uint32_t i = 0; i < N; i++)
			items[i] =
			    (struct prefix_tag){ small_prefix(28, 32), i };
		set = prefix_set_new(items, N);
		is = prefix_set_covers(set, &want, is_even, NULL);
		assert_int_equal(is, naive_covers(items, N, &want));
		covered += is;
		prefix_set_free(set);
	}
	/* Else the rounds prove little. */
	assert_in_range(covered, ROUNDS / 10, ROUNDS / 2);
}

static void
test_covers_the_ends(void **state)
{
	const struct prefix_tag halves[] = {
		{ unit_prefix("0.0.0.0/1"), 0 },
		{ unit_prefix("128.0.0.0/1"), 2 },
		{ unit_prefix("::/1"), 0 },
		{ unit_prefix("8000::/1"), 1 },
	};
	struct prefix_set *set = prefix_set_new(halves, 4);
	struct prefix four = unit_prefix("0.0.0.0/0");
	struct prefix six = unit_prefix("::/0");
	struct prefix last = unit_prefix("255.255.255.255/32");

	(void)state;
	assert_true(prefix_set_covers(set, &four, is_even, NULL));
	assert_true(prefix_set_covers(set, &last, is_even, NULL));
	assert_false(prefix_set_covers(set, &six, is_even, NULL));
	assert_true(prefix_set_covers(set, &six, NULL, NULL));
	prefix_set_free(set);
}

/* What a set of N takes: ns to make, and ns a search, the best of some. */
struct cost {
	double made, search;
};

static struct cost
measure(uint32_t n, const struct addr *ask)
{
	struct prefix_tag *items = calloc(n, sizeof(*items));
	struct cost cost = { 0, 1e9 };
	struct prefix_set *set;
	double start;
	unsigned hits = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t base = htonl(i * (MANY / n) << 15 | (i % 7) << 11);
		struct prefix *p = &items[i].prefix;

		p->family = AF_INET;
		p->len = (uint8_t)(21 + i % 12);
		memcpy(p->bytes, &base, 4);
		items[i].tag = i;
	}
	start = unit_cpu_ns();
	set = prefix_set_new(items, n);
	cost.made = unit_cpu_ns() - start;
	for (int turn = 0; turn < 5; turn++) {
		double span;

		start = unit_cpu_ns();
		for (int i = 0; i < 100000; i++)
			hits += prefix_set_contains(set, &ask[i % ASKED]);
		span = (unit_cpu_ns() - start) / 1e5;
		if (span < cost.search)
			cost.search = span;
	}
	print_message("%u prefixes: made in %.1f ms, %.0f ns a search "
		      "(%u hits)\n",
	    n, cost.made / 1e6, cost.search, hits);
	prefix_set_free(set);
	free(items);
	return cost;
}

/* A hundred times the prefixes: a few more steps, and misses of the cache. */
static void
test_grows_slowly(void **state)
{
	struct addr *ask = calloc(ASKED, sizeof(*ask));
	struct cost few, many;

	(void)state;
	for (int i = 0; i < ASKED; i++) {
		ask[i].sa.sa_family = AF_INET;
		ask[i].in4.sin_addr.s_addr = htonl(unit_random());
	}
	few = measure(MANY / 100, ask);
	many = measure(MANY, ask);
	assert_true(many.search < 25 * few.search);
	assert_true(many.made < 2500 * few.made);
	free(ask);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_visit_against_naive),
		cmocka_unit_test(test_narrow_first_and_stop),
		cmocka_unit_test(test_covers_against_naive),
		cmocka_unit_test(test_covers_the_ends),
		cmocka_unit_test(test_grows_slowly),
	};

	return cmocka_run_group_tests_name("prefix_set", tests, NULL, NULL);
}
