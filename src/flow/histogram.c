#include "flow/histogram.h"

#include <math.h>

static const struct {
	uint64_t first, factor;
} scales[HISTOGRAM_SCALES] = {
	[HISTOGRAM_TIME] = { 125, 2 },
	[HISTOGRAM_LIFE] = { 1000, 3 },
	[HISTOGRAM_SHARE] = { 8, 2 },
};

static uint64_t
get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t
histogram_bound(enum histogram_scale scale, unsigned i)
{
	uint64_t bound = scales[scale].first;

	if (i >= HISTOGRAM_BUCKETS - 1)
		return UINT64_MAX;
	while (i--)
		bound *= scales[scale].factor;
	return bound;
}

void
histogram_add(struct histogram *h, enum histogram_scale scale, uint64_t value)
{
	uint64_t bound = scales[scale].first;
	unsigned i = 0;

	for (; i < HISTOGRAM_BUCKETS - 1 && value > bound; i++)
		bound *= scales[scale].factor;
	stats_add(&h->counts[i], 1);
	stats_add(&h->sum, value);
}

void
histogram_sum(struct histogram *sum, const struct histogram *from)
{
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		stats_add(&sum->counts[i], get(&from->counts[i]));
	stats_add(&sum->sum, get(&from->sum));
}

uint64_t
histogram_count(const struct histogram *h)
{
	uint64_t n = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += get(&h->counts[i]);
	return n;
}

double
histogram_quantile(
    const struct histogram *h, enum histogram_scale scale, double q)
{
	double wanted = q * (double)histogram_count(h), seen = 0;
	double low = 0;

	if (wanted <= 0)
		return histogram_count(h) ? 0 : NAN;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		double high = (double)histogram_bound(scale, i);
		double n = (double)get(&h->counts[i]);

		if (seen + n >= wanted)
			return low + (high - low) * (wanted - seen) / n;
		seen += n;
		low = high;
	}
	return low; /* all that is known: not below that */
}
