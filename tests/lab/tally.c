#include <string.h>
#include <time.h>

#include "tally.h"

#define LATE_P99_US 2000.0 /* a round trip of 50 ms is 4 % longer */
#define CPU_SHARE 0.8	   /* of one core: beyond, it becomes a bottleneck */
#define CPU_AFTER 0.1	   /* seconds: a share of less says nothing */
#define STEPS 16	   /* buckets that an octave is cut into */

static uint64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
tally_clock(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void
tally_reset(struct tally *t, uint64_t drops)
{
	memset(t, 0, sizeof(*t));
	t->since = tally_clock();
	t->cpu_since = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	t->drops_since = drops;
}

/* Microseconds, exact below STEPS, then within a STEPS-th. */
static unsigned
bucket_of(uint64_t us)
{
	unsigned octave = 0;

	while (us >> octave >= 2 * STEPS)
		octave++;
	us = octave * STEPS + (us >> octave);
	return us < TALLY_BUCKETS ? (unsigned)us : TALLY_BUCKETS - 1;
}

/* The most microseconds that fall into a bucket. */
static uint64_t
bucket_end(unsigned bucket)
{
	unsigned octave = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;

	return ((uint64_t)(bucket - octave * STEPS + 1) << octave) - 1;
}

void
tally_late(struct tally *t, uint64_t ns)
{
	t->late[bucket_of(ns / 1000)]++;
	t->delivered++;
	if (ns > t->late_max)
		t->late_max = ns;
}

uint64_t
tally_quantile(const struct tally *t, double q)
{
	uint64_t seen = 0, wanted = (uint64_t)(q * (double)t->delivered);

	for (unsigned i = 0; i < TALLY_BUCKETS; i++) {
		seen += t->late[i];
		if (seen > wanted || seen == t->delivered)
			return bucket_end(i) * 1000;
	}
	return 0;
}

json_t *
tally_json(const struct tally *t, uint64_t drops)
{
	double seconds = (double)(tally_clock() - t->since) / 1e9;
	uint64_t cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - t->cpu_since;
	const struct {
		const char *name;
		double value, bound;
	} checks[] = {
		{ "late_p99_us", (double)tally_quantile(t, 0.99) / 1e3,
		    LATE_P99_US },
		{ "cpu_share",
		    seconds > CPU_AFTER ? (double)cpu / 1e9 / seconds : 0,
		    CPU_SHARE },
		{ "tun_drops", (double)(drops - t->drops_since), 0 },
	};
	json_t *why = json_array();
	json_t *all = json_pack("{s:f, s:f, s:f}", "seconds", seconds,
	    "late_p50_us", (double)tally_quantile(t, 0.5) / 1e3, "late_max_us",
	    (double)t->late_max / 1e3);

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		json_object_set_new(
		    all, checks[i].name, json_real(checks[i].value));
		if (checks[i].value > checks[i].bound)
			json_array_append_new(why,
			    json_sprintf("%s is %.3g, more than %.3g",
				checks[i].name, checks[i].value,
				checks[i].bound));
	}
	json_object_set_new(all, "valid", json_boolean(!json_array_size(why)));
	json_object_set_new(all, "why", why);
	return all;
}
