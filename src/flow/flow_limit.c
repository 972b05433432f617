#include "flow/flow_limit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "flow/sources.h"

/* A flow that was silent this long is idle. */
#define IDLE_MS 5000

/*
 * Looking for idle flows means looking at all: not for each client that
 * comes. What becomes idle in between is younger than what was found.
 */
#define LOOK_EVERY_MS 250

static bool
is_idle(const struct flow *flow, int64_t when)
{
	return (flow->state == FLOW_OPEN || flow->state == FLOW_HALF_CLOSED) &&
	    when - flow->relay.active_ms >= IDLE_MS;
}

static int
compare_silence(const void *a, const void *b)
{
	const struct flow *one = *(struct flow *const *)a;
	const struct flow *two = *(struct flow *const *)b;

	return one->relay.active_ms < two->relay.active_ms ? -1
	    : one->relay.active_ms > two->relay.active_ms  ? 1
							   : 0;
}

static void
look_for_idle(struct flow_set *set, int64_t now)
{
	struct flow_idle *idle = &set->idle;
	struct flow *flow, **flows;

	if (idle->looked_ms && now - idle->looked_ms < LOOK_EVERY_MS)
		return;
	idle->looked_ms = now;
	idle->n = idle->next = 0;
	flows = realloc(idle->flows, set->n_live * sizeof(struct flow *));
	if (!flows)
		return;
	idle->flows = flows;
	TAILQ_FOREACH(flow, &set->all, all)
		if (is_idle(flow, now))
			flows[idle->n++] = flow;
	qsort(flows, idle->n, sizeof(struct flow *), compare_silence);
	for (size_t i = 0; i < idle->n; i++)
		flows[i]->idle_place = i + 1;
}

/* The next of those found that still is what it was; NULL: none is left. */
static struct flow *
next_idle(struct flow_idle *idle)
{
	while (idle->next < idle->n) {
		struct flow *flow = idle->flows[idle->next++];

		if (!flow)
			continue;
		flow->idle_place = 0;
		if (is_idle(flow, idle->looked_ms))
			return flow;
	}
	return NULL;
}

/* Ends the flow that is silent longest. False: there is none, or may not. */
static bool
evict(struct flow_set *set)
{
	struct flow *flow;

	if (!set->conf->limits.evict_idle)
		return false;
	flow = next_idle(&set->idle);
	if (!flow) {
		look_for_idle(set, clock_coarse_ms());
		flow = next_idle(&set->idle);
	}
	if (flow)
		flow_close(flow, ENDING_EVICTED);
	return flow;
}

static bool
is_over_flows(const struct flow_set *set)
{
	int64_t limit = set->conf->limits.flows;

	return limit &&
	    atomic_load_explicit(set->live_total, memory_order_relaxed) > limit;
}

enum ending
flow_admit(struct flow *flow)
{
	struct flow_set *set = flow->set;
	int err = sources_enter(set->sources, &flow->src,
	    set->conf->limits.flows_per_source, &flow->source);

	if (err)
		return err == -EDQUOT ? ENDING_SOURCE_LIMIT : ENDING_RESOURCES;
	if (relay_memory_left(&set->relays) < FLOW_MEMORY && !evict(set))
		return ENDING_MEMORY_LIMIT;
	if (is_over_flows(set) && !evict(set))
		return ENDING_FLOW_LIMIT;
	flow->memory = FLOW_MEMORY;
	relay_hold(&set->relays, (int64_t)flow->memory);
	return ENDING_COUNT;
}

void
flow_dismiss(struct flow *flow)
{
	struct flow_set *set = flow->set;

	if (flow->source)
		sources_leave(set->sources, flow->source);
	flow->source = NULL;
	if (flow->idle_place)
		set->idle.flows[flow->idle_place - 1] = NULL;
	flow->idle_place = 0;
	relay_hold(&set->relays, -(int64_t)flow->memory);
	flow->memory = 0;
}
