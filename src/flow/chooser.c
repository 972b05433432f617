#include "flow/chooser.h"

#include <stdbool.h>

/*
 * How many flows a mean reaches back, and how long: after that time a new
 * flow counts for twice as much.
 */
#define MEMORY_FLOWS 4.0
#define MEMORY_MS (10 * 60 * 1000.0)

/*
 * One that is not the best gets a flow now and then, by the dice, and at the
 * latest each sixteenth: one in twelve in all. If it was as good as the best,
 * though its mean says otherwise, it is asked again soon.
 */
#define TRY (1 / 24.0)
#define TRY_AGAIN 0.5
#define AS_GOOD 1.25
#define WAIT_MOST 15

/* So many times slower or faster than the mean is a surprise. */
#define SURPRISE 1.5

/* One flow that got stuck is not to outweigh all the others. */
#define OUTLIER 4.0

static bool
is_allowed(unsigned allowed, size_t i)
{
	return allowed >> i & 1;
}

size_t
chooser_best(const struct chooser *c, size_t n, unsigned allowed)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++)
		if (is_allowed(allowed, i) && c->arms[i].cost > 0 &&
		    (best == n || c->arms[i].cost < c->arms[best].cost))
			best = i;
	return best;
}

/* The arm of which nothing is known, and which waited longest; or N. */
static size_t
find_unknown(const struct chooser *c, size_t n, unsigned allowed)
{
	size_t found = n;

	for (size_t i = 0; i < n; i++)
		if (is_allowed(allowed, i) && c->arms[i].cost <= 0 &&
		    (found == n || c->arms[i].waited > c->arms[found].waited))
			found = i;
	return found;
}

static bool
is_doubtful(const struct chooser_arm *arm, const struct chooser_arm *best)
{
	return arm->surprise < 0 && arm->last < best->cost * AS_GOOD;
}

static size_t
choose(const struct chooser *c, size_t n, unsigned allowed, uint32_t dice)
{
	size_t unknown = find_unknown(c, n, allowed);
	size_t best = chooser_best(c, n, allowed);
	double left = dice / 4294967296.0;

	if (unknown < n)
		return unknown;
	for (size_t i = 0; i < n; i++) {
		const struct chooser_arm *arm = &c->arms[i];

		if (i == best || !is_allowed(allowed, i))
			continue;
		left -= is_doubtful(arm, &c->arms[best]) ? TRY_AGAIN : TRY;
		if (left < 0 || arm->waited >= WAIT_MOST)
			return i;
	}
	return best;
}

size_t
chooser_pick(struct chooser *c, size_t n, unsigned allowed, uint32_t dice)
{
	size_t arm = choose(c, n, allowed, dice);

	for (size_t i = 0; i < n; i++)
		c->arms[i].waited++;
	c->arms[arm].waited = 0;
	return arm;
}

static int
compare(const struct chooser_arm *arm, double cost)
{
	if (arm->cost <= 0)
		return 0;
	return (cost > arm->cost * SURPRISE) - (cost < arm->cost / SURPRISE);
}

/* How much the mean of ARM is still worth. */
static double
weight_now(const struct chooser_arm *arm, int64_t now_ms)
{
	return arm->weight * MEMORY_MS /
	    (MEMORY_MS + (double)(now_ms - arm->at_ms));
}

static double
within(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

void
chooser_learn(struct chooser *c, size_t i, double cost, int64_t now_ms)
{
	struct chooser_arm *arm = &c->arms[i];
	int surprise = compare(arm, cost);
	double told = cost, weight;

	/* Twice the same surprise: the mean was that of another path. */
	if (surprise && surprise == arm->surprise)
		arm->weight = 0;
	else if (arm->cost > 0)
		cost = within(cost, arm->cost / OUTLIER, arm->cost * OUTLIER);
	arm->surprise = surprise;
	arm->last = told;
	weight = weight_now(arm, now_ms) + 1;
	if (weight > MEMORY_FLOWS)
		weight = MEMORY_FLOWS;
	arm->cost += (cost - arm->cost) / weight;
	arm->weight = weight;
	arm->at_ms = now_ms;
}
