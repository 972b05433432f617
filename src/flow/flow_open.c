/* How a flow begins: from the accepted socket to both legs standing. */
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

static bool
is_own(const struct flow_set *set, const struct addr *a)
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
		if (addr_is_any(l) && is_own(set, a))
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
	if (!policy->allow_local && is_own(set, &flow->dst))
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
	flow->relay.buffer = (uint32_t)policy->buffer;
	flow->relay.splice_after = (uint64_t)policy->splice_after;
}

/* Counts and logs ERR, a refused algorithm. True: the flow may go on. */
static bool
tolerate(struct flow *flow, const struct policy *policy, const char *leg,
    const char *algorithm, int err)
{
	if (!err)
		return true;
	stats_add(&flow->set->stats.congestion_refused, 1);
	stats_add(&flow->policy_stats->congestion_refused, 1);
	if (log_allow(LOG_LEVEL_WARNING))
		log_warning("flow id=%llu policy=%s: the kernel refuses "
			    "congestion \"%s\" on the %s leg: %s (see sysctl "
			    "net.ipv4.tcp_allowed_congestion_control)",
		    (unsigned long long)flow->id, flow->policy, algorithm, leg,
		    strerror(-err));
	return policy->congestion_missing == CONF_MISSING_WARN;
}

static bool
prepare_client(
    struct flow *flow, const struct policy *policy, const struct listener *l)
{
	struct sock_options want = policy->client;
	int fd = flow->relay.legs[RELAY_CLIENT].fd, err = 0;

	/* Too late for the SYN-ACK: the listener has seen to it. */
	want.mss = l->inherited.mss;
	if (sock_apply(fd, l->addr.sa.sa_family, &want, &l->inherited))
		stats_add(&flow->set->stats.options_refused, 1);
	if (*want.congestion)
		err = sock_set_congestion(fd, want.congestion);
	return tolerate(flow, policy, "client", want.congestion, err);
}

/* The address to dial from, in A; NULL: the kernel's choice. */
static const struct addr *
choose_source(
    const struct flow *flow, const struct policy *policy, struct addr *a)
{
	bool v6 = flow->dst.sa.sa_family == AF_INET6;
	const struct conf_source *source = &policy->source;

	if (!source->has[v6])
		return NULL;
	/* A map keeps the host bits of a client of the same family. */
	*a = flow->src.sa.sa_family == flow->dst.sa.sa_family ? flow->src
							      : flow->dst;
	prefix_map(&source->prefix[v6], a);
	addr_set_port(a, 0);
	return a;
}

static enum ending
dial_ending(int err)
{
	switch (-err) {
	case ECONNREFUSED:
		return ENDING_CONNECT_REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENONET:
	case EACCES: /* a "prohibit" route */
		return ENDING_CONNECT_UNREACHABLE;
	case ETIMEDOUT:
		return ENDING_CONNECT_TIMEOUT;
	case EADDRNOTAVAIL:
	case EADDRINUSE:
	case ENODEV:
		return ENDING_SOURCE;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EAGAIN: /* no free port: ip_local_port_range is used up */
		return ENDING_RESOURCES;
	default:
		return ENDING_CONNECT_FAILED;
	}
}

/* True when ERR is the kernel's word for a source that is not ours. */
static bool
is_foreign(const struct flow_set *set, const struct addr *source, int err)
{
	return (err == -EINVAL || err == -ENETUNREACH) && source &&
	    !localaddr_has(set->local, source);
}

/* Starts to connect. ENDING_COUNT when under way. */
static enum ending
dial(struct flow *flow, const struct policy *policy)
{
	struct leg *leg = &flow->relay.legs[RELAY_SERVER];
	struct addr source;
	struct sock_dial how = {
		.spare = -1,
		.options = &policy->server,
		.source = choose_source(flow, policy, &source),
		.interface = policy->interface,
		.mark = (uint32_t)policy->mark,
		.strict = policy->congestion_missing == CONF_MISSING_REJECT,
	};
	int fd = sock_dial(&flow->dst, &how);

	if (fd == -EMFILE || fd == -ENFILE) {
		how.spare = listeners_lend(
		    &flow->set->listeners, flow->dst.sa.sa_family);
		fd = sock_dial(&flow->dst, &how);
	}
	leg->fd = fd < 0 ? -1 : fd;
	if (!tolerate(flow, policy, "server", policy->server.congestion,
		how.congestion_error))
		return ENDING_CONGESTION;
	if (fd < 0)
		return is_foreign(flow->set, how.source, fd) ? ENDING_SOURCE
							     : dial_ending(fd);
	leg->entry.on_ready = flow_on_connected;
	if (poller_add(flow->set->poller, fd, &leg->entry, POLLER_STREAM))
		return ENDING_RESOURCES;
	return ENDING_COUNT;
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
	if (!prepare_client(flow, policy, l))
		return ENDING_CONGESTION;
	return dial(flow, policy);
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

void
flow_on_connected(struct poll_entry *entry, uint32_t events)
{
	struct leg *leg =
	    (struct leg *)((char *)entry - offsetof(struct leg, entry));
	struct flow *flow =
	    (struct flow *)((char *)leg->relay - offsetof(struct flow, relay));
	int err = 0;

	if (events & (EPOLLERR | EPOLLHUP))
		err = sock_connect_result(leg->fd);
	/* Accepted and reset since: what the server said comes first. */
	if (err && err != -ECONNRESET) {
		flow_close(flow, dial_ending(err));
		return;
	}
	flow->connected_ms = clock_ms();
	policy_stats_connect(flow);
	flow_enter(flow, FLOW_OPEN);
	flow_arm(flow);
	relay_start(&flow->relay, events, err);
}
