#include "flow/chooser.h"

#include <stdbool.h>

/* How many flows a mean reaches back, and how long: half is lost by then. */
#define MEMORY_FLOWS 4.0
#define MEMORY_MS (10 * 60 * 1000.0)

/*
 * The others are tried with one flow in eight, or, since a flow with a bad
 * one takes so much longer, with as much less as they are slower: trying
 * costs an eighth of the time at most. What was known before the path
 * changed is asked after sooner.
 */
#define TRY 0.125
#define TRY_DOUBTED 0.25

/* A result that differs so much from the mean is odd, or the path is new. */
#define ODD_COST 1.5
#define ODD_RESENT 4.0
#define RESENT_FLOOR 0.002 /* below it shares are noise */

/* One flow that got stuck is not to outweigh all the others. */
#define OUTLIER 4.0

/* How much the mean of ARM is still worth. */
static double
weight_now(const struct chooser_arm *arm, int64_t now_ms)
{
	return arm->weight * MEMORY_MS /
	    (MEMORY_MS + (double)(now_ms - arm->at_ms));
}

/*
 * How many times slower than BEST the arm is. The less is known of it, the
 * more it is taken to be like the best.
 */
static double
slowness(const struct chooser_arm *arm, double best, int64_t now_ms)
{
	double weight = weight_now(arm, now_ms);

	return 1 + (arm->cost / best - 1) * weight / (weight + 1);
}

static bool
is_allowed(unsigned allowed, size_t i)
{
	return allowed >> i & 1;
}

/* The arm of which nothing is known, and which had fewest turns; or N. */
static size_t
find_unknown(
    const struct chooser *c, size_t n, unsigned allowed, const uint64_t *turns)
{
	size_t found = n;

	for (size_t i = 0; i < n; i++)
		if (is_allowed(allowed, i) && c->arms[i].cost <= 0 &&
		    (found == n || turns[i] < turns[found]))
			found = i;
	return found;
}

static size_t
find_best(const struct chooser *c, size_t n, unsigned allowed)
{
	size_t best = n;

	for (size_t i = 0; i < n; i++)
		if (is_allowed(allowed, i) &&
		    (best == n || c->arms[i].cost < c->arms[best].cost))
			best = i;
	return best;
}

size_t
chooser_pick(const struct chooser *c, size_t n, unsigned allowed,
    const uint64_t *turns, int64_t now_ms, uint32_t dice)
{
	size_t unknown = find_unknown(c, n, allowed, turns);
	size_t best = find_best(c, n, allowed);
	double left = dice / 4294967296.0;

	if (unknown < n)
		return unknown;
	for (size_t i = 0; i < n; i++) {
		const struct chooser_arm *arm = &c->arms[i];

		if (i == best || !is_allowed(allowed, i))
			continue;
		left -= arm->weight <= 0
		    ? TRY_DOUBTED
		    : TRY / slowness(arm, c->arms[best].cost, now_ms);
		if (left < 0)
			return i;
	}
	return best;
}

/* Whether the path looks worse (1), better (-1) or as ever (0). */
static int
compare(const struct chooser_arm *arm, const struct chooser_result *result)
{
	if (arm->weight <= 0)
		return 0;
	if (result->cost > arm->cost * ODD_COST)
		return 1;
	if (result->cost < arm->cost / ODD_COST)
		return -1;
	if (result->resent > arm->resent * ODD_RESENT + RESENT_FLOOR)
		return 1;
	if (arm->resent > result->resent * ODD_RESENT + RESENT_FLOOR)
		return -1;
	return 0;
}

static double
within(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

/* Two odd ones in a row: what is known was true of another path. */
static void
doubt(struct chooser *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		c->arms[i].weight = 0;
}

void
chooser_learn(struct chooser *c, size_t n, size_t i,
    const struct chooser_result *result, int64_t now_ms)
{
	struct chooser_arm *arm = &c->arms[i];
	double weight, cost = result->cost;
	int odd = compare(arm, result);

	if (odd && odd == arm->odd)
		doubt(c, n);
	else if (arm->weight > 0)
		cost = within(cost, arm->cost / OUTLIER, arm->cost * OUTLIER);
	arm->odd = odd;
	weight = weight_now(arm, now_ms) + 1;
	if (weight > MEMORY_FLOWS)
		weight = MEMORY_FLOWS;
	arm->cost += (cost - arm->cost) / weight;
	arm->resent += (result->resent - arm->resent) / weight;
	arm->weight = weight;
	arm->at_ms = now_ms;
}
