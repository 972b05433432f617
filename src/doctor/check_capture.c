/* Whether a client's packets are taken, and for whom. */
#include <string.h>

#include "doctor/checks.h"

#define ANY_PORT 50123 /* one that no rule is likely to name */

/* A port that the first policy which proxies and names some has. */
static uint16_t
sample_port(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++) {
		const struct policy *p = &conf->policies[i];

		if (p->action == CONF_PROXY)
			return p->n_ports ? p->ports[0].first : ANY_PORT;
	}
	return ANY_PORT;
}

struct packet
check_syn(const struct check *c, const char *interface)
{
	return (struct packet){
		.family = c->family,
		.iif = interface,
		.syn = true,
		.state = RULESET_NEW,
		.port = sample_port(c->facts->conf),
	};
}

const struct walk_event *
check_captured(const struct walk *walk)
{
	const struct walk_event *last = walk_last(walk);

	if (last && last->packet.tproxy)
		return last;
	for (size_t i = walk->n_events; i > 0; i--)
		if (walk->events[i - 1].what == WALK_ACCEPTED &&
		    walk->events[i - 1].packet.tproxy)
			return &walk->events[i - 1];
	return NULL;
}

bool
check_certain(struct check *c, const struct walk *walk)
{
	const char *why = facts_ruleset(c->facts)->unknown;

	if (walk->cut)
		why = "there are more rules than doctor looks at";
	if (!why && !(walk->maybe & WALK_OPAQUE))
		return true;
	check_say(c, DOCTOR_UNKNOWN, "%s",
	    why ? why : "there are rules that doctor does not understand");
	return false;
}

const char *
check_interface(const char *interface)
{
	return *interface ? interface : "any interface";
}

void
check_each_interface(
    struct check *c, void (*fn)(struct check *c, const char *interface))
{
	check_looked(c, "nft list ruleset, %s-save",
	    c->family == 6 ? "ip6tables" : "iptables");
	for (size_t i = 0; i < c->facts->n_interfaces; i++)
		fn(c, c->facts->interfaces[i]);
}

struct walk
check_walk(
    struct check *c, struct packet packet, enum ruleset_hook hook, bool nat)
{
	struct walk walk = { 0 };

	ruleset_walk(facts_ruleset(c->facts), packet, hook, nat, &walk);
	return walk;
}

static struct walk
walk_in(struct check *c, struct packet packet)
{
	return check_walk(c, packet, RULESET_PREROUTING, false);
}

static void
drop(struct check *c, const char *interface)
{
	struct walk walk = walk_in(c, check_syn(c, interface));
	const struct walk_event *last = walk_last(&walk);

	if (!last || last->what != WALK_DROPPED || check_captured(&walk) ||
	    !check_certain(c, &walk) || check_may_pass(c, &walk, last->base))
		return;
	check_say(c, DOCTOR_FAILURE, "%s drops what comes from %s",
	    check_name(c, last), check_interface(interface));
	mend_drop(c, last);
}

void
check_prerouting(struct check *c)
{
	check_each_interface(c, drop);
}

static void
capture(struct check *c, const char *interface)
{
	struct walk walk = walk_in(c, check_syn(c, interface));
	const struct walk_event *last = walk_last(&walk);
	const struct walk_event *e = check_captured(&walk);

	if (e) {
		check_say(c, DOCTOR_OK, "%s: %s", check_interface(interface),
		    e->packet.tproxy->text);
	} else if (last && last->what == WALK_DROPPED) {
		check_say(c, DOCTOR_UNKNOWN,
		    "dropped before: see prerouting-drop-ipv%d", c->family);
	} else if (check_certain(c, &walk)) {
		check_say(c, DOCTOR_FAILURE,
		    "no rule takes new connections from %s",
		    check_interface(interface));
		mend_firewall(c);
	}
}

void
check_capture(struct check *c)
{
	check_each_interface(c, capture);
}

/* --- each place where a listener gets the packet ------------------- */

static void
each_end(struct check *c, const char *interface,
    void (*fn)(struct check *c, const struct walk_event *e))
{
	struct walk walk = walk_in(c, check_syn(c, interface));
	const struct walk_event *last = walk_last(&walk);

	for (size_t i = 0; i < walk.n_events; i++) {
		const struct walk_event *e = &walk.events[i];

		if (e->what == WALK_ACCEPTED && e->packet.tproxy &&
		    (e->maybe || e == last))
			fn(c, e);
	}
	if (!check_captured(&walk))
		check_say(c, DOCTOR_UNKNOWN,
		    "nothing is captured: see capture-ipv%d", c->family);
}

/* Whether the daemon is to listen where STEP sends packets. */
static bool
has_listener(const struct check *c, const struct step *step)
{
	const struct conf *conf = c->facts->conf;
	bool open = !step->addr.sa.sa_family || addr_is_any(&step->addr);

	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct addr *a = &conf->listens[i];

		if (a->sa.sa_family != (c->family == 4 ? AF_INET : AF_INET6) ||
		    addr_port(a) != addr_port(&step->addr))
			continue;
		/* Without an address it is that of the interface. */
		if (addr_is_any(a) || (!open && addr_same_host(a, &step->addr)))
			return true;
	}
	return false;
}

static void
target(struct check *c, const struct walk_event *e)
{
	const struct step *to = e->packet.to;
	char text[ADDR_TEXT_MAX] = "any address";

	if (has_listener(c, to))
		return;
	if (to->addr.sa.sa_family)
		addr_format_host(&to->addr, text);
	check_say(c, DOCTOR_FAILURE,
	    "%s sends to %s, port %u, where unatatp is not told to listen",
	    e->packet.tproxy->text, text, addr_port(&to->addr));
	mend_target(c, e);
}

static void
targets(struct check *c, const char *interface)
{
	each_end(c, interface, target);
}

void
check_capture_target(struct check *c)
{
	check_each_interface(c, targets);
}

static void
mark(struct check *c, const struct walk_event *e)
{
	const struct facts *f = c->facts;

	if ((e->packet.mark & f->mask) == f->mark)
		return;
	check_say(c, DOCTOR_FAILURE,
	    "what %s takes gets the mark 0x%x, not 0x%x: it is not delivered",
	    e->packet.tproxy->text, e->packet.mark & f->mask, f->mark);
	mend_mark(c, e);
}

static void
marks(struct check *c, const char *interface)
{
	each_end(c, interface, mark);
}

void
check_capture_mark(struct check *c)
{
	check_each_interface(c, marks);
}

/* --- after the first packet ---------------------------------------- */

/* The capture's end when it is a good one, and a later packet in *P. */
static bool
later(struct check *c, const char *interface, struct packet *p,
    struct walk_event *end)
{
	struct walk walk = walk_in(c, check_syn(c, interface));
	const struct walk_event *e = check_captured(&walk);

	if (!e || !*interface)
		return false;
	*end = *e;
	*p = check_syn(c, interface);
	p->syn = false;
	p->state = RULESET_ESTABLISHED;
	p->ct_mark = e->packet.ct_mark;
	return (e->packet.mark & c->facts->mask) == c->facts->mark;
}

static void
mend_divert(struct check *c, const char *interface, const struct walk_event *e)
{
	const struct facts *f = c->facts;
	const struct chain *b = e->base;
	const char *match;

	if (mend_ours(c, e->packet.tproxy->chain))
		return;
	if (e->packet.tproxy->json) {
		check_mend(c,
		    "nft insert rule %s %s %s 'iifname \"%s\" "
		    "tcp flags & (fin | syn | rst | ack) != syn "
		    "socket transparent 1 "
		    "meta mark set meta mark & 0x%08x | 0x%x accept'",
		    b->nft_family, b->table, b->name, interface,
		    (uint32_t)~f->mask, f->mark);
		return;
	}
	match = arena_printf(f->arena,
	    "-i %s -p tcp ! --syn -m socket --transparent", interface);
	check_mend(
	    c, "%s -t mangle -I PREROUTING 1 %s -j ACCEPT", b->tool, match);
	check_mend(c,
	    "%s -t mangle -I PREROUTING 1 %s -j MARK --set-xmark 0x%x/0x%x",
	    b->tool, match, f->mark, f->mask);
}

static void
established(struct check *c, const char *interface)
{
	const struct walk_event *last;
	struct walk_event end;
	struct packet p;
	struct walk walk;

	if (!later(c, interface, &p, &end))
		return;
	p.socket = true;
	walk = walk_in(c, p);
	last = walk_last(&walk);
	if (last && last->what == WALK_ACCEPTED &&
	    (last->packet.mark & c->facts->mask) == c->facts->mark)
		return;
	if (!check_certain(c, &walk))
		return;
	check_say(c, DOCTOR_FAILURE,
	    "from %s, later packets of a connection that unatatp holds are "
	    "not marked",
	    interface);
	/* A mark that is wrong, or none at all. */
	if (last && last->packet.marker)
		mend_mark(c, last);
	else
		mend_divert(c, interface, &end);
}

void
check_established(struct check *c)
{
	check_each_interface(c, established);
}

static void
cookies(struct check *c, const char *interface)
{
	struct walk_event end;
	struct packet p;
	struct walk walk;

	if (!later(c, interface, &p, &end))
		return;
	walk = walk_in(c, p);
	if (check_captured(&walk) || !check_certain(c, &walk))
		return;
	check_say(c, DOCTOR_WARNING,
	    "from %s, the second packet of a connection is not taken: when "
	    "the kernel answers with SYN cookies, clients get a reset",
	    interface);
	mend_firewall(c);
}

void
check_syn_cookies(struct check *c)
{
	check_each_interface(c, cookies);
}

static void
own_address(struct check *c, const char *interface)
{
	struct packet p = check_syn(c, interface);
	const struct walk_event *last;
	struct walk walk;

	p.to_us = true;
	walk = walk_in(c, p);
	last = walk_last(&walk);
	if (!last || !last->packet.tproxy)
		return;
	check_say(c, DOCTOR_FAILURE,
	    "%s takes connections to the gateway itself (ssh!), too",
	    last->packet.tproxy->text);
	if (mend_ours(c, last->packet.tproxy->chain))
		return;
	mend_insert(c, last->packet.tproxy->chain, "fib daddr type local",
	    "-m addrtype --dst-type LOCAL", "return");
}

void
check_own_address(struct check *c)
{
	check_each_interface(c, own_address);
}
