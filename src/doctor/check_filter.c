/* What the other rules of the packet filter do to proxied flows. */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "doctor/checks.h"
#include "gateway/match.h"

#define MOST_NAMED 5

uid_t
check_uid(const struct check *c)
{
	const char *user = c->facts->conf->user;
	struct passwd *pw = *user ? getpwnam(user) : NULL;

	return pw ? pw->pw_uid : 0;
}

/* The first statement of KIND that the packet meets or may meet. */
const struct walk_event *
check_seen(const struct walk *walk, enum step_kind kind)
{
	for (size_t i = 0; i < walk->n_events; i++)
		if (walk->events[i].what == WALK_SEEN &&
		    walk->events[i].step->kind == kind)
			return &walk->events[i];
	return NULL;
}

/* What the packet looks like once it was captured. */
static struct packet
captured(const struct check *c, const char *interface)
{
	struct packet p = check_syn(c, interface);

	p.mark = p.ct_mark = c->facts->mark;
	return p;
}

static void
notrack(struct check *c, const char *interface)
{
	struct walk walk =
	    check_walk(c, check_syn(c, interface), RULESET_PREROUTING, false);
	const struct walk_event *e = check_seen(&walk, STEP_NOTRACK);

	if (!e)
		return;
	if (e->maybe & WALK_OPAQUE) {
		check_certain(c, &walk);
		return;
	}
	check_say(c, e->maybe ? DOCTOR_WARNING : DOCTOR_FAILURE,
	    "%s keeps connections from %s untracked: the mark that finds "
	    "their later packets has no place",
	    check_name(c, e), check_interface(interface));
	mend_delete(c, e->rule);
}

void
check_notrack(struct check *c)
{
	check_each_interface(c, notrack);
}

/* A published address is not a client's matter; a port is. */
static void
redirect(struct check *c, const char *interface)
{
	struct walk walk =
	    check_walk(c, captured(c, interface), RULESET_PREROUTING, true);
	const struct walk_event *e = check_seen(&walk, STEP_DNAT);

	if (!e || e->maybe & WALK_ADDRESS)
		return;
	if (e->maybe & WALK_OPAQUE) {
		check_certain(c, &walk);
		return;
	}
	check_say(c, e->maybe ? DOCTOR_WARNING : DOCTOR_FAILURE,
	    "%s rewrites the destination of what was captured",
	    check_name(c, e));
	mend_accept_mark(c, e->base);
}

void
check_redirect(struct check *c)
{
	check_each_interface(c, redirect);
}

bool
check_may_pass(
    struct check *c, const struct walk *walk, const struct chain *base)
{
	for (size_t i = 0; i < walk->n_events; i++) {
		const struct walk_event *e = &walk->events[i];

		if ((e->what != WALK_ACCEPTED && e->what != WALK_LEFT) ||
		    e->base != base || !(e->maybe & ~(unsigned)WALK_PORT))
			continue;
		check_say(c, DOCTOR_UNKNOWN, "%s may let them through, or not",
		    check_name(c, e));
		return true;
	}
	return false;
}

static const struct walk_event *
find_drop(struct check *c, struct packet packet, enum ruleset_hook hook)
{
	struct walk walk = check_walk(c, packet, hook, false);
	const struct walk_event *last = walk_last(&walk);

	if (facts_ruleset(c->facts)->unknown || walk.cut) {
		check_certain(c, &walk);
		return NULL;
	}
	if (!last || last->what != WALK_DROPPED ||
	    check_may_pass(c, &walk, last->base))
		return NULL;
	return last;
}

static void
input(struct check *c, const char *interface)
{
	struct packet p = captured(c, interface);
	const struct walk_event *e = find_drop(c, p, RULESET_INPUT);

	if (!e) {
		p.syn = false;
		p.socket = true;
		p.state = RULESET_ESTABLISHED;
		e = find_drop(c, p, RULESET_INPUT);
	}
	if (!e)
		return;
	check_say(c, DOCTOR_FAILURE, "%s drops what was captured from %s",
	    check_name(c, e), check_interface(interface));
	mend_accept_mark(c, e->base);
}

void
check_input(struct check *c)
{
	check_each_interface(c, input);
}

struct packet
check_dialled(const struct check *c, const char *oif)
{
	struct packet p = check_syn(c, NULL);

	p.oif = oif;
	p.owned = true;
	p.uid = check_uid(c);
	p.from_us = true;
	return p;
}

void
check_output(struct check *c)
{
	const struct walk_event *e =
	    find_drop(c, check_dialled(c, ""), RULESET_OUTPUT);
	unsigned uid = check_uid(c);

	check_looked(c, "nft list ruleset, %s-save",
	    c->family == 6 ? "ip6tables" : "iptables");
	if (!e)
		return;
	check_say(
	    c, DOCTOR_FAILURE, "%s drops what unatatp dials", check_name(c, e));
	mend_insert(c, e->base,
	    arena_printf(
		c->facts->arena, "meta skuid %u meta l4proto tcp", uid),
	    arena_printf(
		c->facts->arena, "-p tcp -m owner --uid-owner %u", uid),
	    "accept");
}

void
check_each_way_out(struct check *c, const char *interface,
    void (*fn)(struct check *c, const char *interface, const char *oif))
{
	const char *why;
	json_t *links = facts_links(c->facts, &why), *link;
	size_t i;

	if (!links)
		check_say(c, DOCTOR_UNKNOWN, "%s", why);
	json_array_foreach(links, i, link)
	{
		const char *name = facts_text(link, "ifname");

		if (strcmp(name, "lo") != 0 &&
		    !facts_is_client_side(c->facts, name))
			fn(c, interface, name);
	}
}

/* Names a filter, once, and of many only some. */
static void
name_filter(struct check *c, const struct walk_event *e)
{
	const char *name = check_name(c, e);
	size_t *named = c->arg;

	if (strstr(c->result->finding, name) || *named > MOST_NAMED)
		return;
	if (!*named)
		check_say(c, DOCTOR_WARNING,
		    "proxied flows enter by INPUT and leave by OUTPUT, so "
		    "they pass by %s",
		    name);
	else
		check_say(c, DOCTOR_WARNING, "%s",
		    *named < MOST_NAMED ? name : "and others");
	++*named;
}

static void
forward_to(struct check *c, const char *interface, const char *oif)
{
	struct packet p = check_syn(c, interface);
	struct walk walk;

	p.oif = oif;
	walk = check_walk(c, p, RULESET_FORWARD, false);
	for (size_t i = 0; i < walk.n_events; i++) {
		const struct walk_event *e = &walk.events[i];

		if (e->what == WALK_DROPPED && !(e->maybe & WALK_OPAQUE))
			name_filter(c, e);
	}
}

static void
forward(struct check *c, const char *interface)
{
	check_each_way_out(c, interface, forward_to);
}

/* To reject is the mend that forward_to names. */
void
check_forward(struct check *c)
{
	size_t named = 0;

	if (match_rejects(c->facts->conf)) {
		check_say(c, DOCTOR_OK, "policies reject on their own");
		return;
	}
	c->arg = &named;
	check_each_interface(c, forward);
	c->arg = NULL;
	if (named)
		check_mend(c,
		    "# in %s, a policy with action = \"reject\" for what "
		    "FORWARD forbids",
		    check_file(c));
}

/* --- marks --------------------------------------------------------- */

/*
 * Walks all that the capture is made of, so that its rules are visited.
 * False when the walk ended in a drop before.
 */
static bool
visit(struct check *c, const char *interface, int family)
{
	struct check of = *c;
	const struct walk_event *last;
	struct packet p;
	struct walk walk;

	of.family = family;
	p = check_syn(&of, interface);
	walk = check_walk(c, p, RULESET_PREROUTING, false);
	last = walk_last(&walk);
	p.syn = false;
	p.state = RULESET_ESTABLISHED;
	p.ct_mark = c->facts->mark;
	check_walk(c, p, RULESET_PREROUTING, false);
	p.socket = true;
	check_walk(c, p, RULESET_PREROUTING, false);
	return !last || last->what != WALK_DROPPED;
}

/* A rule that marks what clients send, or sockets of ours get, is no other. */
static bool
is_capture(const struct facts *f, const struct rule *r)
{
	for (size_t i = 0; i < r->n_steps; i++) {
		const struct step *s = &r->steps[i];
		bool clients = s->kind == STEP_IIF && !s->negated;

		for (size_t j = 0; j < s->n_names; j++)
			clients &= facts_is_client_side(f, s->names[j]);
		if (clients || s->kind == STEP_TPROXY ||
		    (s->kind == STEP_SOCKET && !s->negated))
			return true;
	}
	return r->visited;
}

/* Whether R sets our bits for a purpose that is not the capture's. */
static bool
is_foreign(struct check *c, const struct rule *r, enum step_kind kind,
    bool all_visited)
{
	const struct facts *f = c->facts;

	for (size_t i = 0; i < r->n_steps; i++) {
		const struct step *s = &r->steps[i];
		uint32_t ours = s->value & s->mask & f->mask;

		if (s->kind == kind && ours &&
		    (ours == f->mark ? all_visited && !is_capture(f, r)
				     : !r->visited || s->mask != f->mask))
			return true;
	}
	return false;
}

static void
look_for_marks(struct check *c, enum step_kind kind)
{
	const struct ruleset *set = facts_ruleset(c->facts);
	bool all = true;

	check_looked(c, "nft list ruleset, iptables-save, ip6tables-save");
	for (size_t i = 0; i < c->facts->n_interfaces; i++)
		for (int family = 4; family <= 6; family += 2)
			all &= visit(c, c->facts->interfaces[i], family);
	for (size_t i = 0; i < set->n_chains; i++)
		for (size_t j = 0; j < set->chains[i]->n_rules; j++) {
			const struct rule *r = set->chains[i]->rules[j];
			struct walk_event e = { .rule = r };

			if (!r->chain->reached || !is_foreign(c, r, kind, all))
				continue;
			check_say(c, DOCTOR_WARNING,
			    "%s sets bits of our mask 0x%x (or choose "
			    "another firewall.mark)",
			    check_name(c, &e), c->facts->mask);
			mend_delete(c, r);
		}
}

void
check_mark_clash(struct check *c)
{
	look_for_marks(c, STEP_SET_MARK);
}

void
check_conntrack_mark(struct check *c)
{
	look_for_marks(c, STEP_SET_CT_MARK);
}
