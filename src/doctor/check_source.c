/* Server legs with a client's address: the way out, and the way back. */
#include "doctor/checks.h"
#include "gateway/match.h"

#define CLIENT_PORT 50123 /* one that no rule is likely to name */

/* True when no policy wants it; that was said. */
static bool
is_idle(struct check *c)
{
	check_looked(c, "source, nft list ruleset, %s-save",
	    c->family == 6 ? "ip6tables" : "iptables");
	if (match_transparent(c->facts->conf))
		return false;
	check_say(c, DOCTOR_OK, "no policy keeps the client's address");
	return true;
}

/* The first packet of such a leg; END: where the output rules left it. */
static struct packet
dial(struct check *c, const char *oif)
{
	struct packet p = check_dialled(c, oif);
	const struct walk_event *last;
	struct walk walk;

	p.from_us = false;
	walk = check_walk(c, p, RULESET_OUTPUT, false);
	last = walk_last(&walk);
	return last ? last->packet : p;
}

static void
masquerade_to(struct check *c, const char *unused, const char *oif)
{
	struct walk walk =
	    check_walk(c, dial(c, oif), RULESET_POSTROUTING, true);
	const struct walk_event *e = check_seen(&walk, STEP_SNAT);
	unsigned uid = check_uid(c);

	(void)unused;
	if (!e)
		return;
	if (e->maybe & WALK_OPAQUE) {
		check_certain(c, &walk);
		return;
	}
	check_say(c, e->maybe ? DOCTOR_WARNING : DOCTOR_FAILURE,
	    "%s puts the gateway's address in the place of the client's",
	    check_name(c, e));
	mend_insert(c, e->base,
	    arena_printf(c->facts->arena,
		"meta skuid %u meta l4proto tcp fib saddr type != local", uid),
	    arena_printf(c->facts->arena,
		"-p tcp -m owner --uid-owner %u "
		"-m addrtype ! --src-type LOCAL",
		uid),
	    "accept");
}

void
check_masquerade(struct check *c)
{
	if (!is_idle(c))
		check_each_way_out(c, "", masquerade_to);
}

/* --- the way back -------------------------------------------------- */

/* Where only some links have rules for it, those are meant. */
struct ways {
	bool good;
	const char *lost, *zones; /* links; NULL: none */
	unsigned zone;		  /* of what leaves by the good ones */
};

/* What a server answers, after the prerouting rules; NULL: not certain. */
static const struct walk_event *
answer(struct check *c, const struct packet *dialled, const char *iif)
{
	struct packet p = {
		.family = c->family,
		.iif = iif,
		.socket = true,
		.state = RULESET_ESTABLISHED,
		.ct_mark = dialled->ct_mark,
		.port = CLIENT_PORT,
	};
	struct walk walk = check_walk(c, p, RULESET_PREROUTING, false);
	const struct walk_event *last = walk_last(&walk);

	if (last && (last->packet.mark & c->facts->mask) == c->facts->mark)
		return last;
	return check_certain(c, &walk) ? last : NULL;
}

static void
look_back(struct check *c, const char *unused, const char *link)
{
	struct packet out = dial(c, link);
	const struct walk_event *back = answer(c, &out, link);
	struct ways *ways = c->arg;

	(void)unused;
	if (!back)
		return;
	if (back->what == WALK_DROPPED ||
	    (back->packet.mark & c->facts->mask) != c->facts->mark) {
		ways->lost = link;
	} else if (back->packet.zone != out.zone) {
		ways->zones = link;
	} else {
		ways->good = true;
		ways->zone = out.zone;
	}
}

static bool
keeps_port(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (conf->policies[i].source.client == CONF_CLIENT_PORT)
			return true;
	return conf->fallback.source.client == CONF_CLIENT_PORT;
}

void
check_return(struct check *c)
{
	struct ways ways = { 0 };

	if (is_idle(c))
		return;
	c->arg = &ways;
	check_each_way_out(c, "", look_back);
	c->arg = NULL;
	if (ways.good && (ways.zone || !keeps_port(c->facts->conf)))
		return;
	if (ways.good)
		check_say(c, DOCTOR_WARNING,
		    "both legs are the same connection to conntrack: with "
		    "source = \"client\" one of them needs a zone of its own");
	else if (ways.lost)
		check_say(c, DOCTOR_FAILURE,
		    "what comes back by %s to a client's address gets no "
		    "mark: it goes to the client, who resets it",
		    ways.lost);
	else if (ways.zones)
		check_say(c, DOCTOR_FAILURE,
		    "what leaves by %s with a client's address comes back in "
		    "another zone of conntrack",
		    ways.zones);
	else
		return; /* what was not certain was said */
	mend_firewall(c);
}
