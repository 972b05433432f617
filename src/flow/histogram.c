#include "flow/histogram.h"

static uint64_t
get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* 0: zero; then for each power of two its lower and its upper half. */
static size_t
bucket_of(uint32_t value)
{
	unsigned power;

	if (value < 2)
		return value;
	power = 31 - (unsigned)__builtin_clz(value);
	return 2 * power + (value >> (power - 1) & 1);
}

uint64_t
histogram_bound(size_t i)
{
	if (i < 2)
		return i;
	return (UINT64_C(2) + (i & 1)) << (i / 2 - 1);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	uint32_t capped = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;

	stats_add(&h->buckets[bucket_of(capped)], 1);
	stats_add(&h->sum, capped);
}

void
histogram_sum(struct histogram *sum, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		stats_add(&sum->buckets[i], get(&from->buckets[i]));
	stats_add(&sum->sum, get(&from->sum));
}

uint64_t
histogram_count(const struct histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += get(&h->buckets[i]);
	return n;
}

uint64_t
histogram_quantile(const struct histogram *h, unsigned percent)
{
	double rank = (double)histogram_count(h) * percent / 100;

	if (rank <= 0)
		return 0;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double here = (double)get(&h->buckets[i]);
		uint64_t low = histogram_bound(i);
		/* The last value of the bucket, not the first of the next. */
		double span = (double)(histogram_bound(i + 1) - 1 - low);

		if (here >= rank)
			return low + (uint64_t)(span * rank / here + 0.5);
		rank -= here;
	}
	return UINT32_MAX;
}
