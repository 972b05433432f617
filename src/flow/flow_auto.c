/* Congestion control that is chosen: what a leg gets, and what came of it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sock.h"
#include "flow/choosers.h"
#include "flow/flow.h"

/*
 * What is tried out must be half as fast as the better one, or it is given
 * up. So a trial costs a flow little, however bad the algorithm. It is
 * looked at each time that the flow has become a quarter older.
 */
#define TRIAL_SLOWER 2
#define INITIAL_WINDOW 14600 /* bytes: ten segments */
#define TRIAL_FIRST_MS 100
#define TRIAL_MOST_MS 10000

_Static_assert(
    CHOOSER_MOST == CONF_AMONG_MAX, "a chooser has room for a policy's list");

static struct choosers_key
key_of(const struct flow *flow, int side)
{
	const struct addr *peer =
	    side == RELAY_CLIENT ? &flow->src : &flow->dst;

	return (struct choosers_key){
		.policy = flow->policy,
		.side = (unsigned)side,
		.peers = choosers_network(peer),
	};
}

static bool
is_among(const char *name, const struct sock_options *options)
{
	for (size_t i = 0; i < options->n_congestion_among; i++)
		if (options->congestion_among[i] == name)
			return true;
	return false;
}

static void
choose(struct flow *flow, enum relay_side side, struct sock_options *options)
{
	struct choosers_choice *choice = &flow->choices->legs[side];
	struct choosers_key key = key_of(flow, (int)side);

	/* A leg that is dialled again keeps what it got. */
	if (!choice->name || !is_among(choice->name, options))
		*choice = choosers_pick(flow->set->choosers, &key,
		    options->congestion_among, options->n_congestion_among,
		    clock_ms());
	strcpy(options->congestion, choice->name);
	if (choice->better)
		flow->choices->trial_ms = clock_ms() + TRIAL_FIRST_MS;
}

void
flow_choose(
    struct flow *flow, enum relay_side side, struct sock_options *options)
{
	bool wanted = options->n_congestion_among > 0;

	if (wanted && !flow->choices)
		flow->choices = calloc(1, sizeof(*flow->choices));
	if (wanted && flow->choices)
		choose(flow, side, options);
	else if (wanted) /* out of memory: it is as good as any */
		strcpy(options->congestion, options->congestion_among[0]);
	else if (flow->choices)
		flow->choices->legs[side] = (struct choosers_choice){ 0 };
}

void
flow_choice_refused(struct flow *flow, const char *algorithm)
{
	for (int side = 0; flow->choices && side < 2; side++) {
		struct choosers_choice *choice = &flow->choices->legs[side];
		struct choosers_key key = key_of(flow, side);

		if (!choice->name || strcmp(choice->name, algorithm) != 0)
			continue;
		choosers_refuse(
		    flow->set->choosers, &key, choice->name, clock_ms());
		*choice = (struct choosers_choice){ 0 };
	}
}

/*
 * What the leg of SIDE has sent. False when something else than its path
 * held it back: the other leg, which left it with nothing to send, or a
 * peer that read too slowly.
 */
static bool
look(const struct flow *flow, int side, struct choosers_flow *sent,
    struct sock_info *info)
{
	const struct leg *leg = &flow->relay.legs[side];
	uint64_t bytes = flow->relay.lanes[!side].bytes;
	uint64_t unacked = leg->fd < 0 ? bytes : sock_unacked(leg->fd);

	if (unacked >= bytes)
		return false;
	sock_info(leg->fd, info);
	*sent = (struct choosers_flow){
		.bytes = bytes - unacked,
		.busy_us = info->busy_us,
	};
	return info->busy_us && 2000 * relay_full_ms(leg) >= info->busy_us &&
	    2 * info->rwnd_limited_us <= info->busy_us;
}

static void
learn(const struct flow *flow, int side, const struct choosers_flow *sent)
{
	struct choosers_key key = key_of(flow, side);

	choosers_learn(flow->set->choosers, &key,
	    flow->choices->legs[side].name, sent, clock_ms());
}

/*
 * How long a start-up may take to the better one's rate: from the kernel's
 * initial window to what the path holds, doubled each round trip.
 */
static double
start_up_us(const struct choosers_choice *choice, const struct sock_info *info)
{
	double path = 1000.0 * info->min_rtt_us / choice->cost; /* bytes */
	double window = INITIAL_WINDOW, trips = 1;

	while (window < path) {
		window *= 2;
		trips++;
	}
	return trips * info->min_rtt_us;
}

static bool
does_badly(const struct choosers_choice *choice,
    const struct choosers_flow *sent, const struct sock_info *info)
{
	double better_us = choice->cost * (double)sent->bytes / 1000;

	return (double)sent->busy_us >
	    TRIAL_SLOWER * better_us + start_up_us(choice, info);
}

static void
judge(struct flow *flow, int side)
{
	struct choosers_choice *choice = &flow->choices->legs[side];
	struct choosers_flow sent;
	struct sock_info info;

	if (!look(flow, side, &sent, &info) ||
	    !does_badly(choice, &sent, &info))
		return;
	if (!sock_set_congestion(flow->relay.legs[side].fd, choice->better)) {
		sent.tried = true;
		learn(flow, side, &sent);
		choice->name = NULL;
	}
	choice->better = NULL;
}

void
flow_judge(struct flow *flow)
{
	struct flow_choices *choices = flow->choices;
	int64_t now = clock_ms(), span = (now - flow->opened_ms) / 4;

	if (span < TRIAL_FIRST_MS)
		span = TRIAL_FIRST_MS;
	if (span > TRIAL_MOST_MS)
		span = TRIAL_MOST_MS;
	choices->trial_ms = 0;
	for (int side = 0; side < 2; side++) {
		if (choices->legs[side].better)
			judge(flow, side);
		if (choices->legs[side].better)
			choices->trial_ms = now + span;
	}
}

void
flow_learn(const struct flow *flow)
{
	for (int side = 0; flow->choices && side < 2; side++) {
		struct choosers_flow sent;
		struct sock_info info;

		if (flow->choices->legs[side].name &&
		    look(flow, side, &sent, &info) &&
		    sent.bytes >= CHOOSERS_LEAST)
			learn(flow, side, &sent);
	}
}
