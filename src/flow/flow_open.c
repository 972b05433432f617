/* How a flow begins: from the accepted socket to the dial. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "conf/policy.h"
#include "flow/flow.h"

static struct flow_set *
set_of(struct listener *l)
{
	return (struct flow_set *)((char *)l->owner -
	    offsetof(struct flow_set, listeners));
}

static struct flow *
flow_new(struct flow_set *set, const struct addr *peer)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	flow->set = set;
	flow->id = set->next_id;
	set->next_id += set->id_step;
	flow->policy = set->conf->fallback.name;
	flow->src = *peer;
	addr_unmap(&flow->src);
	flow->opened_ms = clock_ms();
	relay_init(&flow->relay, &set->relays, 0, 0);
	evtimer_assign(&flow->timer, set->base, flow_on_timer, flow);
	flow->state = FLOW_DIALLING;
	TAILQ_INSERT_TAIL(&set->lists[FLOW_DIALLING], flow, entry);
	TAILQ_INSERT_TAIL(&set->all, flow, all);
	set->n_live++;
	atomic_fetch_add_explicit(set->live_total, 1, memory_order_relaxed);
	stats_add(&set->stats.flows_opened, 1);
	return flow;
}

bool
flow_is_own(const struct flow_set *set, const struct addr *a)
{
	return addr_is_special(a) || localaddr_has(set->local, a);
}

/* True when A is where one of our own listeners would take it. */
static bool
is_listener(const struct flow_set *set, const struct addr *a)
{
	const struct conf *conf = set->conf;

	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct addr *l = &conf->listens[i];

		if (addr_port(l) != addr_port(a))
			continue;
		if (addr_same_host(l, a))
			return true;
		if (addr_is_any(l) && flow_is_own(set, a))
			return true;
	}
	return false;
}

static bool
over_limit(const struct flow_set *set)
{
	int64_t limit = set->conf->limits.flows;

	return limit &&
	    atomic_load_explicit(set->live_total, memory_order_relaxed) > limit;
}

/* What forbids FLOW before anything is dialled; ENDING_COUNT: nothing. */
static enum ending
find_objection(const struct flow *flow, const struct policy *policy)
{
	const struct flow_set *set = flow->set;

	if (is_listener(set, &flow->dst))
		return ENDING_LOOP;
	if (policy->action == CONF_REJECT)
		return ENDING_REJECTED;
	if (!policy->allow_local && flow_is_own(set, &flow->dst))
		return ENDING_LOCAL;
	if (over_limit(set))
		return ENDING_FLOW_LIMIT;
	return ENDING_COUNT;
}

void
flow_take_policy(struct flow *flow, const struct policy *policy)
{
	flow->policy = policy->name;
	flow->policy_stats = flow->set->policy_stats[policy->index];
	policy_stats_open(flow);
	flow->connect_ms = policy->timeouts.connect;
	flow->idle_ms = policy->timeouts.idle;
	flow->half_close_ms = policy->timeouts.half_close;
	flow->lifetime_ms = policy->timeouts.lifetime;
	flow->windows[RELAY_CLIENT] = (uint16_t)policy->client.initial_window;
	flow->windows[RELAY_SERVER] = (uint16_t)policy->server.initial_window;
	flow->relay.buffer = (uint32_t)policy->buffer;
	flow->relay.splice_after = (uint64_t)policy->splice_after;
}

/* False: out of memory. */
static bool
take_latency(struct flow *flow, const struct policy *policy)
{
	const struct sock_options *legs[] = { &policy->client,
		&policy->server };
	struct latency *latency;

	if (!policy->latency)
		return true;
	latency = flow->latency = calloc(1, sizeof(*latency));
	if (!latency)
		return false;
	latency->bound_ms = policy->latency;
	for (int i = 0; i < 2; i++) {
		latency->unsent_most[i] = (uint32_t)legs[i]->notsent_lowat;
		latency->lanes[i].fixed =
		    legs[i]->rcvbuf || legs[i]->window_clamp;
	}
	return true;
}

static bool
prepare_client(
    struct flow *flow, const struct policy *policy, const struct listener *l)
{
	struct sock_options want = policy->client;
	int fd = flow->relay.legs[RELAY_CLIENT].fd, err = 0;

	/* Too late for the SYN-ACK: the listener has seen to it. */
	want.mss = l->inherited.mss;
	flow_choose(flow, RELAY_CLIENT, &want);
	if (sock_apply(fd, l->addr.sa.sa_family, &want, &l->inherited))
		stats_add(&flow->set->stats.options_refused, 1);
	if (*want.congestion)
		err = sock_set_congestion(fd, want.congestion);
	return flow_tolerates(flow, policy, "client", want.congestion, err);
}

static enum ending
open_by_policy(struct flow *flow, const struct listener *l)
{
	int fd = flow->relay.legs[RELAY_CLIENT].fd;
	const struct policy *policy;
	enum ending ending;

	if (sock_local(fd, &flow->dst))
		return ENDING_CLIENT_RESET;
	addr_unmap(&flow->dst);
	policy = policy_find(flow->set->conf, &flow->src, &flow->dst);
	flow_take_policy(flow, policy);
	ending = find_objection(flow, policy);
	if (ending != ENDING_COUNT)
		return ending;
	if (!take_latency(flow, policy))
		return ENDING_RESOURCES;
	if (!prepare_client(flow, policy, l))
		return ENDING_CONGESTION;
	return flow_dial(flow, policy);
}

void
flow_open(struct listener *l, int fd, const struct addr *peer)
{
	struct flow_set *set = set_of(l);
	struct flow *flow = flow_new(set, peer);
	enum ending ending;

	if (!flow) {
		sock_reset(fd);
		listeners_pause(&set->listeners, -ENOMEM);
		return;
	}
	ending = relay_attach(&flow->relay, fd) ? ENDING_RESOURCES
						: open_by_policy(flow, l);
	if (ending != ENDING_COUNT)
		flow_close(flow, ending);
	else
		flow_arm(flow);
}
