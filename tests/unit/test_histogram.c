/* Histograms: buckets, sums and quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/histogram.h"

static uint64_t
bucket(const struct histogram *h, size_t i)
{
	return atomic_load(&h->buckets[i]);
}

/* Each value lies in the one bucket whose bounds are around it. */
static void
on_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t low = histogram_bound(i),
			 next = histogram_bound(i + 1);
		struct histogram h = { 0 };

		assert_true(low < next);
		histogram_add(&h, low);
		histogram_add(&h, next - 1);
		assert_int_equal(bucket(&h, i), 2);
		assert_int_equal(histogram_count(&h), 2);
		assert_int_equal(atomic_load(&h.sum), low + next - 1);
	}
	assert_int_equal(histogram_bound(0), 0);
	assert_true(histogram_bound(HISTOGRAM_BUCKETS) == UINT64_C(1) << 32);
}

static void
on_too_large(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(bucket(&h, HISTOGRAM_BUCKETS - 1), 1);
	assert_true(atomic_load(&h.sum) == UINT32_MAX);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* A quantile is off by less than the bucket's width, half the value. */
static void
on_quantiles(void **state)
{
	enum { N = 5000 };
	static const unsigned percents[] = { 1, 10, 50, 90, 99, 100 };
	static uint64_t values[N];
	struct histogram h = { 0 };

	(void)state;
	srand(7);
	for (size_t i = 0; i < N; i++) {
		values[i] = (uint64_t)rand() % 1000 * (uint64_t)(rand() % 90);
		histogram_add(&h, values[i]);
	}
	qsort(values, N, sizeof(*values), compare);
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
		uint64_t want = values[N * percents[i] / 100 - 1];
		uint64_t got = histogram_quantile(&h, percents[i]);

		assert_in_range(got, want - want / 2, want + want / 2 + 1);
	}
}

static void
on_few(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	assert_int_equal(histogram_quantile(&h, 50), 0);
	histogram_add(&h, 1);
	assert_int_equal(histogram_quantile(&h, 1), 1);
	assert_int_equal(histogram_quantile(&h, 99), 1);
	for (int i = 0; i < 99; i++)
		histogram_add(&h, 0);
	assert_int_equal(histogram_quantile(&h, 50), 0);
	assert_int_equal(histogram_quantile(&h, 99), 0);
	assert_int_equal(histogram_quantile(&h, 100), 1);
}

static void
on_sum(void **state)
{
	struct histogram one = { 0 }, two = { 0 };

	(void)state;
	histogram_add(&one, 5);
	histogram_add(&two, 5);
	histogram_add(&two, 700);
	histogram_sum(&one, &two);
	assert_int_equal(histogram_count(&one), 3);
	assert_int_equal(histogram_count(&two), 2);
	assert_int_equal(atomic_load(&one.sum), 710);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_bounds),
		cmocka_unit_test(on_too_large),
		cmocka_unit_test(on_quantiles),
		cmocka_unit_test(on_few),
		cmocka_unit_test(on_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
