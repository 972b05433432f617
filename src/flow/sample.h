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

#include "base/addr.h"
#include "base/sock.h"
#include "flow/flow.h"

#define SAMPLE_POLICIES 256 /* more are in the sum of all only */
#define SAMPLE_ALGORITHMS 4 /* a leg's, of one policy */
#define SAMPLE_BUSIEST 12

struct sample_algorithm {
	char name[SOCK_CONGESTION_MAX];
	uint32_t legs;
};

/* Of the legs on one side: those that carried bytes since the last look. */
struct sample_leg {
	uint64_t rtt_us; /* the sum of so many legs' */
	uint32_t measured;
	uint64_t segments, retransmits; /* sent since the last look */
	/* Of all legs, as the kernel tells. */
	struct sample_algorithm algorithms[SAMPLE_ALGORITHMS];
};

struct sample_policy {
	const char *name; /* interned */
	uint32_t flows;
	uint64_t rates[2];	   /* bits a second, by enum relay_lane */
	struct sample_leg legs[2]; /* by enum relay_side */
};

struct sample_flow {
	const char *policy;
	uint64_t id;
	struct addr src, dst;
	uint64_t bytes[2]; /* by enum relay_lane */
	uint64_t rates[2]; /* bits a second since the last look */
	int64_t ms;	   /* its age */
	enum flow_state state;
	const char *engine;
	struct {
		char cc[SOCK_CONGESTION_MAX];
		uint32_t rtt_us, retransmits;
	} legs[2];
};

struct sample {
	size_t flows; /* looked at */
	struct sample_policy all;
	struct sample_policy policies[SAMPLE_POLICIES];
	size_t n_policies;
	struct sample_flow busiest[SAMPLE_BUSIEST]; /* the busiest first */
	size_t n_busiest;
};

/*
 * Looks at MOST flows of SET, from where the last call stopped or, with
 * ANEW, from the first one. True when there are more. On SET's thread.
 */
bool sample_take(
    struct sample *sample, struct flow_set *set, size_t most, bool anew);

/* FLOW is about to leave its list: the next look begins behind it. */
void sample_pass(struct flow *flow);

/* Adds what another set's sample says. */
void sample_add(struct sample *sum, const struct sample *from);

#endif
