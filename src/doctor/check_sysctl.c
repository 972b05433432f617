/* The kernel's settings: sysctl(8). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/window.h"
#include "doctor/checks.h"

#define FEW_PORTS 10000

static bool
is_missing(struct check *c, long value)
{
	if (value >= 0)
		return false;
	check_say(c, DOCTOR_OK, "this kernel has no such setting");
	return true;
}

/* --- forwarding and filters ---------------------------------------- */

/* An address within P that a client may have. */
static struct addr
somebody(const struct prefix *p)
{
	struct addr a = { .in4 = { .sin_family = AF_INET } };

	memcpy(&a.in4.sin_addr, p->bytes, 4);
	if (p->len < 31)
		a.in4.sin_addr.s_addr |= htonl(2);
	return a;
}

/* The first source of a policy that routes lead elsewhere, or NULL. */
static const struct prefix *
find_stray(struct check *c, const char **where)
{
	const struct conf *conf = c->facts->conf;

	for (size_t i = 0; i < conf->n_policies; i++)
		for (size_t j = 0; j < conf->policies[i].n_sources; j++) {
			const struct prefix *p = &conf->policies[i].sources[j];
			struct addr a = somebody(p);

			if (p->family != AF_INET || !p->len)
				continue;
			*where = facts_way_to(c->facts, &a);
			if (*where && !facts_is_client_side(c->facts, *where))
				return p;
		}
	return NULL;
}

void
check_rp_filter(struct check *c)
{
	struct facts *f = c->facts;
	long all = facts_number(f, "ipv4/conf/all/rp_filter");
	char text[PREFIX_TEXT_MAX];

	check_looked(c, "net.ipv4.conf.*.rp_filter, ip route get SOURCE");
	for (size_t i = 0; i < f->n_interfaces; i++) {
		const char *name = f->interfaces[i], *where;
		const struct prefix *stray;
		long own;

		if (!*name)
			continue;
		own = facts_number(f, "ipv4/conf/%s/rp_filter", name);
		if ((own > all ? own : all) != 1)
			continue;
		stray = find_stray(c, &where);
		if (!stray)
			continue;
		check_say(c, DOCTOR_FAILURE,
		    "%s is strict, and the way back to %s is %s: what comes "
		    "from there is dropped",
		    name, prefix_format(stray, text), where);
		check_mend(c, "sysctl -w net.ipv4.conf.%s.rp_filter=2", name);
	}
}

void
check_fwmark_accept(struct check *c)
{
	check_looked(c, "net.ipv4.tcp_fwmark_accept");
	if (facts_number(c->facts, "ipv4/tcp_fwmark_accept") <= 0)
		return;
	check_say(c, DOCTOR_WARNING,
	    "it is 1: answers to clients bear the mark, and whatever routes "
	    "or filters by it sees them, too");
	check_mend(c, "sysctl -w net.ipv4.tcp_fwmark_accept=0");
}

void
check_forwarding(struct check *c)
{
	const char *path =
	    c->family == 4 ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding";
	const char *name = c->family == 4 ? "net.ipv4.ip_forward"
					  : "net.ipv6.conf.all.forwarding";
	long value = facts_number(c->facts, "%s", path);

	check_looked(c, "%s", name);
	if (is_missing(c, value) || value > 0)
		return;
	check_say(c, DOCTOR_WARNING,
	    "%s is 0: what is not proxied goes nowhere", name);
	check_mend(c, "sysctl -w %s=1", name);
}

static bool
is_bridge(json_t *link)
{
	json_t *info = json_object_get(link, "linkinfo");

	return !strcmp(facts_text(info, "info_kind"), "bridge");
}

void
check_bridge(struct check *c)
{
	static const char *const names[] = { "iptables", "ip6tables" };
	struct facts *f = c->facts;
	bool bridged = false;

	check_looked(c, "net.bridge.bridge-nf-call-ip*tables, ip link");
	for (size_t i = 0; i < f->n_interfaces; i++)
		if (is_bridge(facts_link(f, f->interfaces[i])))
			bridged = true;
	for (size_t i = 0; bridged && i < 2; i++) {
		if (facts_number(f, "bridge/bridge-nf-call-%s", names[i]) <= 0)
			continue;
		check_say(c, DOCTOR_WARNING,
		    "bridge-nf-call-%s is 1: frames that are only bridged "
		    "meet the rules, and TPROXY cannot deliver them",
		    names[i]);
		check_mend(
		    c, "sysctl -w net.bridge.bridge-nf-call-%s=0", names[i]);
	}
}

/* --- room ---------------------------------------------------------- */

/* False when it cannot be read; that was said. */
static bool
read_range(struct check *c, unsigned *low, unsigned *high)
{
	const char *text = facts_sysctl(c->facts, "ipv4/ip_local_port_range");

	check_looked(c, "net.ipv4.ip_local_port_range");
	if (text && sscanf(text, "%u %u", low, high) == 2)
		return true;
	check_say(c, DOCTOR_UNKNOWN, "it cannot be read");
	return false;
}

void
check_ports(struct check *c)
{
	unsigned low, high;

	if (!read_range(c, &low, &high))
		return;
	check_say(c, DOCTOR_OK, "%u to %u", low, high);
	if (high - low + 1 >= FEW_PORTS)
		return;
	check_say(c, DOCTOR_WARNING,
	    "%u flows to one address and port are all it allows",
	    high - low + 1);
	check_mend(c, "sysctl -w net.ipv4.ip_local_port_range='10240 65535'");
}

/* Whether PORT is in a list such as "80,9999,10000-10010". */
static bool
is_listed(struct facts *f, const char *list, unsigned port)
{
	char *text = arena_printf(f->arena, "%s", list), *rest;

	for (char *one = strtok_r(text, ",", &rest); one;
	     one = strtok_r(NULL, ",", &rest)) {
		unsigned first, last;
		int n = sscanf(one, "%u-%u", &first, &last);

		if (n >= 1 && port >= first && port <= (n > 1 ? last : first))
			return true;
	}
	return false;
}

void
check_reserved_port(struct check *c)
{
	struct facts *f = c->facts;
	const char *list = facts_sysctl(f, "ipv4/ip_local_reserved_ports");
	unsigned low, high;

	check_looked(c, "net.ipv4.ip_local_reserved_ports");
	if (!read_range(c, &low, &high) || !list)
		return;
	for (size_t i = 0; i < f->conf->n_listens; i++) {
		unsigned port = addr_port(&f->conf->listens[i]);

		if (port < low || port > high || is_listed(f, list, port))
			continue;
		check_say(c, DOCTOR_WARNING,
		    "port %u may be given to any program that dials: then "
		    "unatatp could not listen",
		    port);
		check_mend(c,
		    "sysctl -w net.ipv4.ip_local_reserved_ports='%s%s%u'", list,
		    *list ? "," : "", port);
	}
}

void
check_conntrack(struct check *c)
{
	struct facts *f = c->facts;
	long count = facts_number(f, "netfilter/nf_conntrack_count");
	long max = facts_number(f, "netfilter/nf_conntrack_max");
	long flows = (long)f->conf->limits.flows;

	check_looked(
	    c, "net.netfilter.nf_conntrack_count and _max, limits.flows");
	if (is_missing(c, max) || max == 0)
		return;
	check_say(c, DOCTOR_OK, "%ld of %ld", count, max);
	if (count <= max / 5 * 4 && 2 * flows <= max)
		return;
	check_say(c, DOCTOR_WARNING,
	    2 * flows > max ? "limits.flows needs two entries a flow"
			    : "new connections are dropped when it is full");
	check_mend(c, "sysctl -w net.netfilter.nf_conntrack_max=%ld",
	    4 * flows > 2 * max ? 4 * flows : 2 * max);
}

/* --- initial windows ----------------------------------------------- */

/* BBR keeps its rate over a silence, whatever the setting says. */
static bool
restarts(struct check *c, const struct sock_options *o)
{
	const char *system =
	    facts_sysctl(c->facts, "ipv4/tcp_congestion_control");
	const char *name = *o->congestion ? o->congestion : system;

	return o->initial_window && (!name || strcmp(name, "bbr"));
}

void
check_initial_window(struct check *c)
{
	const struct policy *p = conf_wants_window(c->facts->conf);
	int err = p ? window_probe() : 0;

	check_looked(c, "bpf(2), net.ipv4.tcp_slow_start_after_idle");
	check_say(
	    c, DOCTOR_OK, "%s", p ? "a policy has one" : "no policy has one");
	if (err) {
		check_say(c, err == -EPERM ? DOCTOR_UNKNOWN : DOCTOR_WARNING,
		    "policy %s: no effect: %s", p->name,
		    err == -EPERM ? "only root can ask" : window_why(err));
		check_mend(
		    c, "# SHORT TRANSFERS in unatatp(7) knows other ways");
	}
	if (!p || (!restarts(c, &p->client) && !restarts(c, &p->server)) ||
	    facts_number(c->facts, "ipv4/tcp_slow_start_after_idle") != 1)
		return;
	check_say(c, DOCTOR_WARNING,
	    "policy %s: a slow server, or a silence, takes it away again",
	    p->name);
	check_mend(c, "sysctl -w net.ipv4.tcp_slow_start_after_idle=0");
}

/* --- the link ------------------------------------------------------ */

/* Bytes under way when the link is full; 0: not asked. */
static long long
under_way(const struct facts *f)
{
	return (long long)(f->link->rate / 8 * f->link->rtt / 1000);
}

static void
check_memory(struct check *c, const char *name)
{
	const char *text = facts_sysctl(c->facts, "ipv4/%s", name);
	long long least, normal, most, need = 2 * under_way(c->facts);

	check_looked(c, "net.ipv4.%s", name);
	if (!need) {
		check_say(c, DOCTOR_OK, "no --link was given");
		return;
	}
	if (!text ||
	    sscanf(text, "%lld %lld %lld", &least, &normal, &most) != 3) {
		check_say(c, DOCTOR_UNKNOWN, "it cannot be read");
		return;
	}
	check_say(c, DOCTOR_OK, "%lld bytes at most", most);
	if (most >= need)
		return;
	check_say(c, DOCTOR_WARNING, "the link needs %lld", need);
	check_mend(c, "sysctl -w net.ipv4.%s='%lld %lld %lld'", name, least,
	    normal, need);
}

/* Half of a receive buffer becomes window: tcp_adv_win_scale = 1. */
void
check_rmem(struct check *c)
{
	check_memory(c, "tcp_rmem");
}

/* The kernel wants two windows of what it sends: tcp_sndbuf_expand. */
void
check_wmem(struct check *c)
{
	check_memory(c, "tcp_wmem");
}

static void
check_leg(struct check *c, const struct policy *p, const char *leg,
    const struct sock_options *o)
{
	/* The kernel doubles what is asked of the first two. */
	const struct {
		const char *name;
		int64_t value;
	} values[] = {
		{ "sndbuf", o->sndbuf },
		{ "rcvbuf", o->rcvbuf },
		{ "window_clamp", o->window_clamp },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		if (!values[i].value || values[i].value >= under_way(c->facts))
			continue;
		check_say(c, DOCTOR_WARNING,
		    "policy %s: %s.%s is %lld, the link needs %lld (or 0: "
		    "the kernel decides)",
		    p->name, leg, values[i].name, (long long)values[i].value,
		    under_way(c->facts));
		check_mend(c, "# raise or leave out %s.%s in %s, line %d", leg,
		    values[i].name, check_file(c), p->line);
	}
}

void
check_link_options(struct check *c)
{
	const struct conf *conf = c->facts->conf;

	check_looked(c, "sndbuf, rcvbuf, window_clamp of the policies");
	for (size_t i = 0; under_way(c->facts) && i < conf->n_policies; i++) {
		const struct policy *p = &conf->policies[i];

		check_leg(c, p, "client", &p->client);
		check_leg(c, p, "server", &p->server);
	}
}
