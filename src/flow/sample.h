/*
 * sample: what one look at the live flows of a set tells: sums by policy
 * and leg, and the busiest flows. Main owns the memory; a worker fills it
 * in, some flows at a time, while main leaves it alone.
 */
#ifndef UNATATP_FLOW_SAMPLE_H
#define UNATATP_FLOW_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/flow_view.h"

#define SAMPLE_POLICIES 256 /* more are in the sum of all only */
#define SAMPLE_ALGORITHMS 4 /* a leg's, of one policy */
#define SAMPLE_BUSIEST 12

struct sample_algorithm {
	char name[SOCK_CONGESTION_MAX];
	uint32_t legs;
};

/* Of the legs on one side: those of flows that moved bytes lately. */
struct sample_leg {
	uint64_t rtt_us; /* the sum of so many legs' */
	uint32_t measured;
	uint64_t segments, retransmits; /* sent since the last look */
	uint32_t slow; /* bytes wait for its path or its peer's window */
	/* Of all legs, as the kernel told when they were new. */
	struct sample_algorithm algorithms[SAMPLE_ALGORITHMS];
};

struct sample_policy {
	const char *name; /* interned */
	uint32_t flows;
	uint64_t rates[2];	   /* bits a second, by enum relay_lane */
	struct sample_leg legs[2]; /* by enum relay_side */
};

struct sample {
	/* Of the flows that move, one in so many is measured. 0: all. */
	unsigned stride, phase;
	size_t flows, moving; /* looked at */
	struct sample_policy all;
	struct sample_policy policies[SAMPLE_POLICIES];
	size_t n_policies;
	struct flow_view busiest[SAMPLE_BUSIEST]; /* the busiest first */
	size_t n_busiest;
};

/*
 * Looks at some more flows of SET, from where CURSOR stands, for a tenth
 * of a millisecond or so; CURSOR is `done' after the last. On SET's
 * thread.
 */
void sample_take(
    struct sample *sample, struct flow_set *set, struct flow_cursor *cursor);

/* Adds what another set's sample says. */
void sample_add(struct sample *sum, const struct sample *from);

#endif
