/*
 * chooser: which of a few algorithms the next flow gets, by what earlier
 * flows achieved with each: the fastest one mostly, the others now and then,
 * for the path may have changed. Plain values, one chooser for each group of
 * flows that are alike; choosers.h keeps them. No thread, no clock, no dice.
 */
#ifndef UNATATP_FLOW_CHOOSER_H
#define UNATATP_FLOW_CHOOSER_H

#include <stddef.h>
#include <stdint.h>

#define CHOOSER_MOST 4 /* algorithms: CONF_AMONG_MAX */

/* What is known of one algorithm. */
struct chooser_arm {
	double cost;   /* ns a byte: the mean of late; 0: nothing known */
	double weight; /* of the mean: so many flows, those of old less */
	double resent; /* the share of segments that were sent again */
	int64_t at_ms; /* when a flow last told */
	int odd;       /* how the last one stood out: worse 1, better -1 */
};

struct chooser {
	struct chooser_arm arms[CHOOSER_MOST];
};

/* What a flow achieved. */
struct chooser_result {
	double cost;   /* ns of sending for each byte that arrived */
	double resent; /* segments sent again, a share */
};

/*
 * Which of N arms comes next, by DICE, anything from 0 to 2^32 - 1. ALLOWED
 * has a bit for each that may; one at least. TURNS: how often each had its
 * turn, for as long as nothing else tells them apart.
 */
size_t chooser_pick(const struct chooser *c, size_t n, unsigned allowed,
    const uint64_t *turns, int64_t now_ms, uint32_t dice);

/* A flow with ARM of N has ended, and achieved RESULT. */
void chooser_learn(struct chooser *c, size_t n, size_t arm,
    const struct chooser_result *result, int64_t now_ms);

#endif
