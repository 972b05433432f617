/*
 * tally: whether the emulator kept its promises. How late packets left it,
 * the CPU that it took, what the kernel dropped; and the JSON that says so.
 * A run that broke a bound is invalid, whatever was measured meanwhile.
 */
#ifndef UNATATP_LAB_TALLY_H
#define UNATATP_LAB_TALLY_H

#include <jansson.h>
#include <stdint.h>

#define TALLY_BUCKETS 400

struct tally {
	uint64_t late[TALLY_BUCKETS]; /* packets, by how late they left */
	uint64_t late_max, delivered;
	uint64_t since, cpu_since; /* nanoseconds */
	uint64_t drops_since;
};

uint64_t tally_clock(void);

/* Counts from nothing; DROPS: how many the kernel has dropped by now. */
void tally_reset(struct tally *t, uint64_t drops);

void tally_late(struct tally *t, uint64_t ns);

/* Nanoseconds that a share Q of the packets were late at most. */
uint64_t tally_quantile(const struct tally *t, double q);

/* A new object; the caller's. NULL without memory. */
json_t *tally_json(const struct tally *t, uint64_t drops);

#endif
