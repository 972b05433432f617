/*
 * choosers: what is known of which algorithm, by leg, policy and network of
 * the peer: a table of bounded size that forgets what was longest unused.
 * Main owns it, all workers share it. Nobody ever waits: a part of it that
 * another thread is just using is done without.
 */
#ifndef UNATATP_FLOW_CHOOSERS_H
#define UNATATP_FLOW_CHOOSERS_H

#include <stdbool.h>

#include "base/addr.h"
#include "flow/chooser.h"

/* A flow tells nothing of an algorithm unless it moved so many bytes. */
#define CHOOSERS_LEAST (512 << 10)

/* What the next flow gets. */
struct choosers_choice {
	const char *name;
	/* It is tried out, though this one is known for so many ns a byte. */
	const char *better; /* NULL: it is not */
	double cost;
};

/* Flows that have this in common should fare alike. */
struct choosers_key {
	const char *policy; /* interned */
	unsigned side;	    /* enum relay_side */
	struct prefix peers;
};

/* What a flow's leg sent, and how. */
struct choosers_flow {
	uint64_t bytes;	  /* that arrived: CHOOSERS_LEAST at least */
	uint64_t busy_us; /* how long some were under way */
	bool tried;	  /* and given up; of fewer bytes, then */
};

/* One network, as `show policies` tells it. */
struct choosers_view {
	struct prefix peers;
	size_t n, best; /* best: the fastest, N when nothing is known */
	int64_t used_ms;
	struct choosers_arm_view {
		const char *name;
		uint64_t flows, told; /* that got it; that told of it */
		uint64_t rate;	      /* bits a second; 0: nothing known */
	} arms[CHOOSER_MOST];
};

struct choosers;

struct choosers *choosers_new(void);	 /* NULL: no memory */
void choosers_free(struct choosers *cs); /* NULL is allowed */

/* The network of A, a peer: its /24 or, with IPv6, its /48. */
struct prefix choosers_network(const struct addr *a);

/* Which of N NAMES (interned) the next flow of KEY gets. */
struct choosers_choice choosers_pick(struct choosers *cs,
    const struct choosers_key *key, const char *const *names, size_t n,
    int64_t now_ms);

/* A flow of KEY has ended, or NAME, which it had got, was given up. */
void choosers_learn(struct choosers *cs, const struct choosers_key *key,
    const char *name, const struct choosers_flow *flow, int64_t now_ms);

/* The kernel refuses NAME: for ten minutes the others take its place. */
void choosers_refuse(struct choosers *cs, const struct choosers_key *key,
    const char *name, int64_t now_ms);

/*
 * Fills in the MOST networks of POLICY and SIDE that were used last, the
 * last one first; how many there are in all.
 */
size_t choosers_look(struct choosers *cs, const char *policy, unsigned side,
    struct choosers_view *views, size_t most);

#endif
