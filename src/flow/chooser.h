/*
 * chooser: which of a few algorithms the next flow gets, by what earlier
 * flows achieved with each: mostly the fastest one, now and then another,
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
	double cost;	 /* ns a byte: the mean of late; 0: nothing known */
	double weight;	 /* of the mean: so many flows, those of old less */
	int64_t at_ms;	 /* when a flow last told */
	double last;	 /* what the last one told */
	int surprise;	 /* that was much slower 1, or faster -1 */
	unsigned waited; /* flows that came since it had its turn */
};

struct chooser {
	struct chooser_arm arms[CHOOSER_MOST];
};

/* The fastest of those of N arms that are ALLOWED; N: nothing is known. */
size_t chooser_best(const struct chooser *c, size_t n, unsigned allowed);

/*
 * Which of N arms comes next, by DICE, anything from 0 to 2^32 - 1. ALLOWED
 * has a bit for each that may; one at least.
 */
size_t chooser_pick(
    struct chooser *c, size_t n, unsigned allowed, uint32_t dice);

/* A flow with ARM has told what a byte took: COST, in ns. */
void chooser_learn(struct chooser *c, size_t arm, double cost, int64_t now_ms);

#endif
