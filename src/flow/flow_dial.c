/* The server leg: from which address it is dialled, and how that ends. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "conf/policy.h"
#include "flow/flow.h"

/*
 * How long a client's port may be in use by its last connection to the
 * same server before another port is taken: as long as a client waits
 * before it sends its SYN again (RFC 6298).
 */
#define PORT_PATIENCE_MS 1000

bool
flow_tolerates(struct flow *flow, const struct policy *policy, const char *leg,
    const char *algorithm, int err)
{
	if (!err)
		return true;
	stats_add(&flow->set->stats.congestion_refused, 1);
	stats_add(&flow->policy_stats->congestion_refused, 1);
	flow_choice_refused(flow, algorithm);
	if (log_allow(LOG_LEVEL_WARNING))
		log_warning("flow id=%llu policy=%s: the kernel refuses "
			    "congestion \"%s\" on the %s leg: %s (see sysctl "
			    "net.ipv4.tcp_allowed_congestion_control)",
		    (unsigned long long)flow->id, flow->policy, algorithm, leg,
		    strerror(-err));
	return policy->congestion_missing == CONF_MISSING_WARN;
}

/*
 * True when the client's own address can stand on the server leg. What
 * the gateway itself answers never comes back to it, and with its port it
 * would meet the client leg; and a client that is the gateway has its
 * addresses anyway.
 */
static bool
wants_client(const struct flow *flow, const struct conf_source *source)
{
	return source->client != CONF_CLIENT_NONE &&
	    !flow_is_own(flow->set, &flow->dst) &&
	    !localaddr_has(flow->set->local, &flow->src);
}

/* Puts the address to dial from in A and HOW; none: the kernel's choice. */
static void
choose_source(const struct flow *flow, const struct conf_source *source,
    struct addr *a, struct sock_dial *how)
{
	bool v6 = flow->dst.sa.sa_family == AF_INET6;

	/* A map keeps the host bits of a client of the same family. */
	*a = flow->src.sa.sa_family == flow->dst.sa.sa_family ? flow->src
							      : flow->dst;
	how->transparent = wants_client(flow, source);
	if (!how->transparent && !source->has[v6])
		return;
	if (source->has[v6])
		prefix_map(&source->prefix[v6], a);
	if (source->client != CONF_CLIENT_PORT)
		addr_set_port(a, 0);
	how->source = a;
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

/*
 * Not before: the server leg's handshake makes it ten, and so does, by and
 * by, the silence of a client leg (net.ipv4.tcp_slow_start_after_idle).
 */
static void
begin_windows(struct flow *flow)
{
	for (size_t i = 0; i < 2; i++) {
		uint32_t segments = flow->windows[i];
		int fd = flow->relay.legs[i].fd;

		if (segments && sock_begin_window(fd, segments))
			stats_add(&flow->set->stats.options_refused, 1);
	}
}

static void
on_connected(struct poll_entry *entry, uint32_t events)
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
	if (!err)
		begin_windows(flow);
	flow->connected_ms = clock_ms();
	policy_stats_connect(flow);
	flow_enter(flow, FLOW_OPEN);
	if (flow->latency)
		latency_look(flow->latency, &flow->relay);
	flow_arm(flow);
	relay_start(&flow->relay, events, err);
}

/* True when ERR is the kernel's word for a source that is not ours. */
static bool
is_foreign(const struct flow_set *set, const struct sock_dial *how, int err)
{
	return (err == -EINVAL || err == -ENETUNREACH) && how->source &&
	    !how->transparent && !localaddr_has(set->local, how->source);
}

static int
try_dial(struct flow *flow, struct sock_dial *how)
{
	int fd;

	how->spare = -1;
	fd = sock_dial(&flow->dst, how);
	if (fd != -EMFILE && fd != -ENFILE)
		return fd;
	how->spare =
	    listeners_lend(&flow->set->listeners, flow->dst.sa.sa_family);
	return sock_dial(&flow->dst, how);
}

static bool
is_taken(const struct sock_dial *how, int fd)
{
	return fd == -EADDRNOTAVAIL && how->transparent &&
	    addr_port(how->source);
}

/*
 * The client's last connection from this port to this server is not over
 * on our side. A TIME_WAIT has done its work: the client, who had one of
 * its own, says so. What the server has not yet acknowledged may take a
 * round trip more, hence -EINPROGRESS; but not for ever.
 */
static int
dial_taken(struct flow *flow, struct sock_dial *how, struct addr *source)
{
	int64_t now = clock_ms(), waited = now - flow->opened_ms;
	int fd = -EADDRNOTAVAIL;

	if (!sock_end_time_wait(source, &flow->dst, how->interface))
		fd = try_dial(flow, how);
	if (!is_taken(how, fd))
		return fd;
	if (waited < PORT_PATIENCE_MS) {
		flow->redial_ms = now + 1 + waited / 4;
		return -EINPROGRESS;
	}
	stats_add(&flow->set->stats.port_fallbacks, 1);
	if (log_allow(LOG_LEVEL_INFO))
		log_info("flow id=%llu policy=%s: the client's last connection "
			 "from port %u is not over; another port serves",
		    (unsigned long long)flow->id, flow->policy,
		    addr_port(source));
	addr_set_port(source, 0);
	return try_dial(flow, how);
}

enum ending
flow_dial(struct flow *flow, const struct policy *policy)
{
	struct leg *leg = &flow->relay.legs[RELAY_SERVER];
	struct sock_options options = policy->server;
	struct addr source;
	struct sock_dial how = {
		.options = &options,
		.interface = policy->interface,
		.mark = (uint32_t)policy->mark,
		.strict = policy->congestion_missing == CONF_MISSING_REJECT,
	};
	int fd;

	choose_source(flow, &policy->source, &source, &how);
	flow_choose(flow, RELAY_SERVER, &options);
	flow->redial_ms = 0;
	leg->fd = -1;
	if (how.transparent && addr_is_special(&source))
		return ENDING_SOURCE;
	fd = try_dial(flow, &how);
	if (is_taken(&how, fd))
		fd = dial_taken(flow, &how, &source);
	if (fd == -EINPROGRESS)
		return ENDING_COUNT;
	if (fd >= 0)
		leg->fd = fd;
	if (!flow_tolerates(flow, policy, "server", options.congestion,
		how.congestion_error))
		return ENDING_CONGESTION;
	if (how.source_error || is_foreign(flow->set, &how, fd))
		return ENDING_SOURCE;
	if (fd < 0)
		return dial_ending(fd);
	leg->entry.on_ready = on_connected;
	if (poller_add(flow->set->poller, fd, &leg->entry, POLLER_STREAM))
		return ENDING_RESOURCES;
	return ENDING_COUNT;
}

void
flow_redial(struct flow *flow)
{
	/* After a reload it may be another policy; the leg is still to come. */
	enum ending ending = flow_dial(
	    flow, policy_find(flow->set->conf, &flow->src, &flow->dst));

	if (ending != ENDING_COUNT)
		flow_close(flow, ending);
	else
		flow_arm(flow);
}
