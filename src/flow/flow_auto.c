/* Congestion control that is chosen: what a leg gets, and what came of it. */
#include <string.h>

#include "base/clock.h"
#include "base/sock.h"
#include "flow/choosers.h"
#include "flow/flow.h"

_Static_assert(
    CHOOSER_MOST == CONF_AMONG_MAX, "a chooser has room for a policy's list");

static struct choosers_key
key_of(const struct flow *flow, enum relay_side side)
{
	const struct addr *peer =
	    side == RELAY_CLIENT ? &flow->src : &flow->dst;

	return (struct choosers_key){
		.policy = flow->policy,
		.side = side,
		.peers = choosers_network(peer),
	};
}

void
flow_choose(
    struct flow *flow, enum relay_side side, struct sock_options *options)
{
	struct choosers_key key;

	flow->chosen[side] = NULL;
	if (!options->n_congestion_among)
		return;
	key = key_of(flow, side);
	flow->chosen[side] = choosers_pick(flow->set->choosers, &key,
	    options->congestion_among, options->n_congestion_among, clock_ms());
	strcpy(options->congestion, flow->chosen[side]);
}

void
flow_choice_refused(struct flow *flow, const char *algorithm)
{
	for (int side = 0; side < 2; side++) {
		struct choosers_key key = key_of(flow, (enum relay_side)side);

		if (!flow->chosen[side] ||
		    strcmp(flow->chosen[side], algorithm) != 0)
			continue;
		choosers_refuse(
		    flow->set->choosers, &key, flow->chosen[side], clock_ms());
		flow->chosen[side] = NULL;
	}
}

/*
 * False when something else than the path of the leg held the flow back:
 * its other leg, which left this one with nothing to send, or a peer that
 * read too slowly.
 */
static bool
was_limited_by_path(const struct leg *leg, const struct sock_info *info)
{
	return 2 * 1000 * relay_full_ms(leg) >= info->busy_us &&
	    2 * info->rwnd_limited_us <= info->busy_us;
}

static void
learn(const struct flow *flow, enum relay_side side)
{
	const struct leg *leg = &flow->relay.legs[side];
	struct choosers_key key = key_of(flow, side);
	uint64_t bytes = flow->relay.lanes[!side].bytes;
	struct choosers_flow told;
	struct sock_info info;

	if (leg->fd < 0 || bytes < CHOOSERS_LEAST)
		return;
	sock_info(leg->fd, &info);
	told = (struct choosers_flow){
		.bytes = bytes - sock_unacked(leg->fd),
		.busy_us = info.busy_us,
		.resent = info.segments
		    ? (double)info.retransmits / info.segments
		    : 0,
	};
	if (told.bytes >= CHOOSERS_LEAST && told.bytes <= bytes &&
	    told.busy_us && was_limited_by_path(leg, &info))
		choosers_learn(flow->set->choosers, &key, flow->chosen[side],
		    &told, clock_ms());
}

void
flow_learn(const struct flow *flow)
{
	for (int side = 0; side < 2; side++)
		if (flow->chosen[side])
			learn(flow, (enum relay_side)side);
}
