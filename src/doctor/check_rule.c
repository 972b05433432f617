/* ip(8)'s rules for the mark. */
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"
#include "gateway/match.h"
#include "gateway/state.h"

#define MAIN_PREFERENCE 32766
#define TABLE_LOCAL "255"

/* What a rule of ip(8) asks for and where it leads. */
struct entry {
	long preference;
	bool inverted, has_mark, narrow, looks_up;
	bool commanded; /* by `unatatp firewall up' */
	long to;	/* of goto; -1: none */
	uint32_t mark, mask;
	const char *iif, *table;
};

static struct entry
read_entry(json_t *json)
{
	static const char *const narrowing[] = { "oif", "dst", "ipproto",
		"sport", "dport", "tos", "uid_start" };
	const char *mask = facts_text(json, "fwmask");
	struct entry e = {
		.preference = facts_int(json, "priority"),
		.inverted = json_object_get(json, "not") != NULL,
		.has_mark = *facts_text(json, "fwmark"),
		.mark = (uint32_t)strtoul(facts_text(json, "fwmark"), NULL, 0),
		.iif = facts_text(json, "iif"),
		.table = facts_text(json, "table"),
		.to = facts_int(json, "goto"),
	};

	e.mask = *mask ? (uint32_t)strtoul(mask, NULL, 0) : UINT32_MAX;
	e.commanded = !strcmp(facts_text(json, "protocol"), STATE_PROTOCOL);
	e.narrow = strcmp(facts_text(json, "src"), "all") != 0;
	for (size_t i = 0; i < sizeof(narrowing) / sizeof(*narrowing); i++)
		if (json_object_get(json, narrowing[i]))
			e.narrow = true;
	e.looks_up = *e.table && strcmp(e.table, TABLE_LOCAL) != 0 &&
	    !json_object_get(json, "suppress_prefixlen");
	return e;
}

static bool
is_exact(const struct facts *f, const struct entry *e)
{
	return !e->inverted && e->has_mark && e->mark == f->mark &&
	    e->mask == f->mask;
}

static bool
leads_to_table(const struct facts *f, const struct entry *e)
{
	return strtol(e->table, NULL, 10) == f->table;
}

/* The rule for INTERFACE; one that names none will do when ANY. */
static json_t *
find_rule(struct check *c, const char *interface, bool any)
{
	json_t *rules = facts_rules(c->facts, c->family, NULL), *rule;
	size_t i;

	json_array_foreach(rules, i, rule)
	{
		struct entry e = read_entry(rule);

		if (is_exact(c->facts, &e) && leads_to_table(c->facts, &e) &&
		    !e.narrow &&
		    (!strcmp(e.iif, interface) || (any && !*e.iif)))
			return rule;
	}
	return NULL;
}

/* False when ip could not be asked; that was said. */
static bool
have_rules(struct check *c)
{
	const char *why;

	check_looked(c, "%s rule", check_ip(c));
	if (facts_rules(c->facts, c->family, &why))
		return true;
	check_say(c, DOCTOR_UNKNOWN, "%s", why);
	return false;
}

/* Without an interface the rule would be one that look_for_iif warns of. */
static void
mend_add(struct check *c, const char *interface, const char *preference)
{
	const struct facts *f = c->facts;

	if (*interface)
		check_mend(c,
		    "%s rule add %sfwmark 0x%x/0x%x iif %s lookup %ld%s",
		    check_ip(c), preference, f->mark, f->mask, interface,
		    f->table,
		    facts_is_commanded(c->facts) ? " protocol " STATE_PROTOCOL
						 : "");
	else
		check_mend(
		    c, "# name the clients' interfaces in firewall.interfaces");
}

static void
mend_del(struct check *c, long preference)
{
	check_mend(c, "%s rule del pref %ld", check_ip(c), preference);
}

/* Rules that were probably meant to be the one that is missing. */
static void
name_near(struct check *c)
{
	struct facts *f = c->facts;
	json_t *rules = facts_rules(f, c->family, NULL), *rule;
	size_t i;

	json_array_foreach(rules, i, rule)
	{
		struct entry e = read_entry(rule);
		bool exact = is_exact(f, &e), leads = leads_to_table(f, &e);

		if (!exact && !leads)
			continue;
		if (exact && leads && !e.narrow &&
		    (!*e.iif || facts_is_client_side(f, e.iif)))
			continue;
		check_say(c, DOCTOR_FAILURE,
		    "the rule at %ld says fwmark 0x%x/0x%x %s%s lookup %s",
		    e.preference, e.mark, e.mask, *e.iif ? "iif " : "", e.iif,
		    e.table);
		if (!e.commanded) /* `firewall up' takes its own away */
			mend_del(c, e.preference);
	}
}

void
check_rule(struct check *c)
{
	struct facts *f = c->facts;
	bool missing = false;

	if (!have_rules(c))
		return;
	for (size_t i = 0; i < f->n_interfaces; i++) {
		const char *name = f->interfaces[i];

		if (find_rule(c, name, true))
			continue;
		missing = true;
		check_say(c, DOCTOR_FAILURE,
		    "no rule sends fwmark 0x%x/0x%x from %s to table %ld",
		    f->mark, f->mask, check_interface(name), f->table);
		if (!mend_ours(c, NULL))
			mend_add(c, name, "");
	}
	if (missing)
		name_near(c);
}

static bool
has_default(json_t *routes)
{
	json_t *route;
	size_t i;

	json_array_foreach(
	    routes, i, route) if (!strcmp(facts_text(route, "dst"),
				      "default")) return true;
	return false;
}

/*
 * Whether a packet of ours from INTERFACE would follow E. A rule with a
 * mark that is ours, too, is check_rule_clash's matter.
 */
static bool
shadows(struct check *c, const struct entry *e, const char *interface)
{
	const struct facts *f = c->facts;

	if (e->has_mark != e->inverted || !e->looks_up || e->narrow ||
	    leads_to_table(f, e) || (*e->iif && strcmp(e->iif, interface)))
		return false;
	if (e->inverted && (f->mark & e->mask) == e->mark)
		return false;
	return e->preference >= MAIN_PREFERENCE ||
	    has_default(facts_table(c->facts, c->family, e->table));
}

static void
check_order_of(struct check *c, const char *interface)
{
	json_t *rules = facts_rules(c->facts, c->family, NULL), *rule;
	json_t *ours = find_rule(c, interface, true);
	long at = ours ? read_entry(ours).preference : 0;
	size_t i;

	json_array_foreach(rules, i, rule)
	{
		struct entry e = read_entry(rule);

		if (!ours || rule == ours)
			return;
		if (!shadows(c, &e, interface))
			continue;
		check_say(c, DOCTOR_FAILURE,
		    "the rule at %ld sends our packets to table %s before "
		    "ours at %ld is asked",
		    e.preference, e.table, at);
		mend_del(c, at);
		mend_add(c, interface,
		    e.preference > 1 ? arena_printf(c->facts->arena,
					   "pref %ld ", e.preference - 1)
				     : "");
		return;
	}
}

void
check_rule_order(struct check *c)
{
	if (!have_rules(c))
		return;
	for (size_t i = 0; i < c->facts->n_interfaces; i++)
		check_order_of(c, c->facts->interfaces[i]);
}

/*
 * Whether the kernel's look at where a source lies, which is done as for
 * `iif lo', jumps over what stands at PREFERENCE.
 */
static bool
is_jumped_over(struct check *c, long preference)
{
	json_t *rules = facts_rules(c->facts, c->family, NULL), *rule;
	size_t i;

	json_array_foreach(rules, i, rule)
	{
		struct entry e = read_entry(rule);

		if (!strcmp(e.iif, "lo") && !e.narrow && !e.has_mark &&
		    e.preference < preference && e.to > preference)
			return true;
	}
	return false;
}

/* Says so when there is a rule that does not name an interface. */
static void
look_for_iif(struct check *c, enum doctor_verdict verdict, const char *harm)
{
	struct facts *f = c->facts;
	json_t *open = find_rule(c, "", true);
	long at = open ? read_entry(open).preference : 0;

	if (!open || is_jumped_over(c, at))
		return;
	check_say(c, verdict, "the rule at %ld names no iif: %s", at, harm);
	/* What comes back to clients' addresses comes by any interface. */
	if (match_transparent(f->conf)) {
		mend_firewall(c);
		return;
	}
	for (size_t i = 0; i < f->n_interfaces; i++)
		if (*f->interfaces[i] && !find_rule(c, f->interfaces[i], false))
			mend_add(c, f->interfaces[i], "");
	if (*f->interfaces[0])
		mend_del(c, at);
}

static bool
has_src_valid_mark(struct check *c)
{
	struct facts *f = c->facts;

	if (facts_number(f, "ipv4/conf/all/src_valid_mark") > 0)
		return true;
	for (size_t i = 0; i < f->n_interfaces; i++)
		if (*f->interfaces[i] &&
		    facts_number(
			f, "ipv4/conf/%s/src_valid_mark", f->interfaces[i]) > 0)
			return true;
	return false;
}

void
check_rule_iif(struct check *c)
{
	if (have_rules(c) && (c->family == 6 || !has_src_valid_mark(c)))
		look_for_iif(c, DOCTOR_WARNING,
		    "it takes marked packets from everywhere, and IPv4 breaks "
		    "when src_valid_mark is set");
}

void
check_src_valid_mark(struct check *c)
{
	check_looked(c, "net.ipv4.conf.*.src_valid_mark");
	if (!have_rules(c))
		return;
	if (!has_src_valid_mark(c)) {
		check_say(c, DOCTOR_OK, "it is 0");
		return;
	}
	look_for_iif(c, DOCTOR_FAILURE,
	    "with src_valid_mark = 1 the kernel takes what is marked for "
	    "martians");
}

/* Links that lead away from the clients, and those that a rule is for. */
struct returns {
	size_t n_links, n_good;
};

static void
look_for_return(struct check *c, const char *unused, const char *link)
{
	struct returns *r = c->arg;

	(void)unused;
	r->n_links++;
	r->n_good += find_rule(c, link, true) != NULL;
}

void
check_return_rule(struct check *c)
{
	const struct facts *f = c->facts;
	struct returns r = { 0 };

	if (!have_rules(c))
		return;
	if (!match_transparent(f->conf)) {
		check_say(c, DOCTOR_OK, "no policy keeps the client's address");
		return;
	}
	c->arg = &r;
	check_each_way_out(c, "", look_for_return);
	c->arg = NULL;
	if (r.n_good || !r.n_links)
		return;
	check_say(c, DOCTOR_FAILURE,
	    "what comes back to clients' addresses bears fwmark 0x%x/0x%x, "
	    "and no rule sends it to table %ld",
	    f->mark, f->mask, f->table);
	mend_firewall(c);
}

void
check_rule_clash(struct check *c)
{
	const struct facts *f = c->facts;
	json_t *rules, *rule;
	size_t i;

	if (!have_rules(c))
		return;
	rules = facts_rules(c->facts, c->family, NULL);
	json_array_foreach(rules, i, rule)
	{
		struct entry e = read_entry(rule);
		uint32_t both = e.mask & f->mask;

		if (!e.has_mark || e.inverted || leads_to_table(f, &e) ||
		    !both || ((e.mark ^ f->mark) & both) || !*e.table)
			continue;
		/* Without ours it is the one that check_rule names. */
		if (is_exact(f, &e) && !find_rule(c, f->interfaces[0], true))
			continue;
		check_say(c, DOCTOR_WARNING,
		    "the rule at %ld, fwmark 0x%x/0x%x lookup %s, means our "
		    "packets, too (or choose another firewall.mark)",
		    e.preference, e.mark, e.mask, e.table);
		mend_del(c, e.preference);
	}
}
