/* The rules that iptables-save prints. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spawn.h"
#include "doctor/ruleset.h"
#include "doctor/words.h"

#define MOST_WORDS 256

struct reader {
	struct ruleset *set;
	const char *tool, *table;
	int family;
	const char *word; /* nft's, for it */
	struct rule *rule;
	char *words[MOST_WORDS];
	size_t n, i;
	bool negated;
	char module[32]; /* of the last -m, or the target */
};

static struct chain *
find(struct reader *r, const char *name)
{
	const struct chain near = {
		.tool = r->tool,
		.nft_family = r->word,
		.table = r->table,
	};

	return ruleset_find(r->set, &near, name);
}

/* ":NAME POLICY [packets:bytes]" */
static void
read_chain(struct reader *r, char *line)
{
	struct chain *c = ruleset_chain(r->set);
	char *rest, *name = strtok_r(line, " ", &rest);
	char *policy = strtok_r(NULL, " ", &rest);

	*c = (struct chain){
		.family = r->family,
		.tool = r->tool,
		.nft_family = r->word,
		.table = r->table,
		.name = arena_printf(r->set->arena, "%s", name ? name : ""),
		.policy_drop = policy && !strcmp(policy, "DROP"),
		.hook = RULESET_NO_HOOK,
	};
	if (policy && strcmp(policy, "-") != 0)
		ruleset_place_iptables(c);
}

/* --- words --------------------------------------------------------- */

/* The next word; "" at the end. */
static const char *
next(struct reader *r)
{
	return r->i < r->n ? r->words[r->i++] : "";
}

static struct step *
add(struct reader *r, enum step_kind kind)
{
	struct step *s = ruleset_step(r->set, r->rule, kind);

	s->negated = r->negated;
	r->negated = false;
	return s;
}

/* "0x100/0xf00" */
static void
read_mark(struct step *s, const char *text)
{
	char *end;

	s->value = (uint32_t)strtoul(text, &end, 0);
	s->mask =
	    *end == '/' ? (uint32_t)strtoul(end + 1, NULL, 0) : UINT32_MAX;
}

/* --- conditions: KIND is what the row of the option says ----------- */

static void
on_interface(struct reader *r, enum step_kind kind)
{
	struct step *s = add(r, kind);

	s->names = arena_alloc(r->set->arena, sizeof(*s->names));
	s->names[0] = next(r);
	s->n_names = 1;
}

static void
on_protocol(struct reader *r, enum step_kind kind)
{
	struct step *s = add(r, kind);
	const char *name = next(r);

	s->value =
	    !strcmp(name, "tcp") || !strcmp(name, "all") || !strcmp(name, "6");
}

static void
on_flags(struct reader *r, enum step_kind kind)
{
	const char *mask = next(r), *flags = next(r);
	bool syn =
	    !strcmp(flags, "SYN") && strstr(mask, "SYN") && strstr(mask, "ACK");

	add(r, syn ? kind : STEP_OPAQUE);
}

static void
on_ports(struct reader *r, enum step_kind kind)
{
	struct step *s = add(r, kind);
	char *text = arena_printf(r->set->arena, "%s", next(r)), *rest;

	for (char *one = strtok_r(text, ",", &rest); one;
	     one = strtok_r(NULL, ",", &rest)) {
		char *colon = strchr(one, ':');
		struct range range = { (uint16_t)atoi(one),
			(uint16_t)atoi(colon ? colon + 1 : one) };

		s->ranges = arena_grow(
		    r->set->arena, s->ranges, s->n_ranges, sizeof(range));
		s->ranges[s->n_ranges++] = range;
	}
}

static void
on_mark(struct reader *r, enum step_kind kind)
{
	read_mark(add(r, !strcmp(r->module, "connmark") ? STEP_CT_MARK : kind),
	    next(r));
}

static void
on_type(struct reader *r, enum step_kind kind)
{
	add(r, !strcmp(next(r), "LOCAL") ? kind : STEP_ADDRESS);
}

static void
on_state(struct reader *r, enum step_kind kind)
{
	struct step *s = add(r, kind);
	const char *words = next(r);

	s->value = (strstr(words, "NEW") ? RULESET_NEW : 0) |
	    (strstr(words, "ESTABLISHED") ? RULESET_ESTABLISHED : 0);
}

static void
on_owner(struct reader *r, enum step_kind kind)
{
	char *end;
	const char *text = next(r);
	struct step *s = add(r, kind);

	s->value = (uint32_t)strtoul(text, &end, 10);
	if (*end)
		s->kind = STEP_OPAQUE;
}

static void
on_value(struct reader *r, enum step_kind kind)
{
	add(r, kind);
	next(r);
}

static void
on_limit(struct reader *r, enum step_kind kind)
{
	bool above = !strcmp(r->words[r->i - 1], "--hashlimit-above");

	add(r, kind)->negated ^= above;
	next(r);
}

/* A word of an option that says nothing of which packets are meant. */
static void
on_detail(struct reader *r, enum step_kind kind)
{
	(void)kind;
	r->negated = false;
	next(r);
}

static void
on_word(struct reader *r, enum step_kind kind)
{
	add(r, kind);
}

static void
on_module(struct reader *r, enum step_kind kind)
{
	(void)kind;
	snprintf(r->module, sizeof(r->module), "%s", next(r));
}

/* --- targets ------------------------------------------------------- */

static const struct {
	const char *name;
	enum step_kind kind;
} targets[] = {
	{ "ACCEPT", STEP_ACCEPT },
	{ "DROP", STEP_DROP },
	{ "REJECT", STEP_DROP },
	{ "RETURN", STEP_RETURN },
	{ "TPROXY", STEP_TPROXY },
	{ "NOTRACK", STEP_NOTRACK },
	{ "MASQUERADE", STEP_SNAT },
	{ "SNAT", STEP_SNAT },
	{ "NETMAP", STEP_SNAT },
	{ "DNAT", STEP_DNAT },
	{ "REDIRECT", STEP_DNAT },
	{ "NFQUEUE", STEP_UNKNOWN },
	{ "SYNPROXY", STEP_UNKNOWN },
};

/* MARK and its like are NOTHING until their options come. */
static void
on_target(struct reader *r, enum step_kind kind)
{
	const char *name = next(r);
	enum step_kind is = find(r, name) ? kind : STEP_NOTHING;

	snprintf(r->module, sizeof(r->module), "%s", name);
	r->negated = false;
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++)
		if (!strcmp(targets[i].name, name))
			is = targets[i].kind;
	add(r, is)->text = name;
}

/* The target's step, which is the last; a rule always has one here. */
static struct step *
target(struct reader *r)
{
	if (!r->rule->n_steps)
		add(r, STEP_NOTHING);
	return &r->rule->steps[r->rule->n_steps - 1];
}

static void
on_set_mark(struct reader *r, enum step_kind kind)
{
	struct step *s = target(r);

	s->kind = !strcmp(r->module, "CONNMARK") ? STEP_SET_CT_MARK : kind;
	read_mark(s, next(r));
}

static void
on_port(struct reader *r, enum step_kind kind)
{
	(void)kind;
	addr_set_port(&target(r)->addr, (uint16_t)atoi(next(r)));
}

static void
on_ip(struct reader *r, enum step_kind kind)
{
	struct step *s = target(r);
	struct addr a;

	(void)kind;
	if (!addr_parse(&a, next(r), addr_port(&s->addr)))
		s->addr = a;
}

static void
on_notrack(struct reader *r, enum step_kind kind)
{
	target(r)->kind = kind;
}

static void
on_zone(struct reader *r, enum step_kind kind)
{
	target(r)->kind = kind;
	target(r)->value = (uint32_t)strtoul(next(r), NULL, 0);
}

static const struct {
	const char *name;
	void (*take)(struct reader *r, enum step_kind kind);
	enum step_kind kind;
} options[] = {
	{ "-i", on_interface, STEP_IIF },
	{ "-o", on_interface, STEP_OIF },
	{ "-p", on_protocol, STEP_TCP },
	{ "-s", on_value, STEP_ADDRESS },
	{ "-d", on_value, STEP_ADDRESS },
	{ "--match-set", on_value, STEP_ADDRESS },
	{ "-m", on_module, STEP_NOTHING },
	{ "-j", on_target, STEP_JUMP },
	{ "-g", on_target, STEP_GOTO },
	{ "--tcp-flags", on_flags, STEP_SYN },
	{ "--dport", on_ports, STEP_PORT },
	{ "--dports", on_ports, STEP_PORT },
	{ "--mark", on_mark, STEP_MARK },
	{ "--dst-type", on_type, STEP_TO_US },
	{ "--src-type", on_type, STEP_FROM_US },
	{ "--state", on_state, STEP_STATE },
	{ "--ctstate", on_state, STEP_STATE },
	{ "--uid-owner", on_owner, STEP_OWNER },
	{ "--limit", on_limit, STEP_LIMIT },
	{ "--hashlimit-upto", on_limit, STEP_LIMIT },
	{ "--hashlimit-above", on_limit, STEP_LIMIT },
	{ "--transparent", on_word, STEP_SOCKET },
	{ "--nowildcard", on_word, STEP_NOTHING },
	{ "--comment", on_detail, STEP_NOTHING },
	{ "--set-xmark", on_set_mark, STEP_SET_MARK },
	{ "--tproxy-mark", on_set_mark, STEP_TPROXY },
	{ "--on-port", on_port, STEP_NOTHING },
	{ "--on-ip", on_ip, STEP_NOTHING },
	{ "--notrack", on_notrack, STEP_NOTRACK },
	{ "--zone", on_zone, STEP_SET_ZONE },
};

/* None of these: a condition of its own, or more of a limit or the target. */
static void
take_unknown(struct reader *r, const char *name)
{
	if (!isupper((unsigned char)r->module[0]) && !strstr(name, "limit-"))
		add(r, STEP_OPAQUE);
	while (r->i < r->n && r->words[r->i][0] != '-' &&
	    strcmp(r->words[r->i], "!") != 0)
		r->i++;
}

static void
take_option(struct reader *r)
{
	const char *name = next(r);

	if (!strcmp(name, "!")) {
		r->negated = true;
		return;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (!strcmp(options[i].name, name)) {
			options[i].take(r, options[i].kind);
			return;
		}
	take_unknown(r, name);
}

static void
read_rule(struct reader *r, const char *line)
{
	struct chain *c;

	r->i = 0;
	r->n = words_split(r->set->arena, line, r->words, MOST_WORDS);
	next(r);
	c = find(r, next(r));
	if (!c)
		return;
	r->rule = ruleset_rule(r->set, c);
	r->rule->text = arena_printf(r->set->arena, "%s", line);
	r->module[0] = '\0';
	r->negated = false;
	while (r->i < r->n)
		take_option(r);
}

static void
read_all(struct reader *r, char *text)
{
	char *rest;

	r->table = "";
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (*line == '*')
			r->table = arena_printf(r->set->arena, "%s", line + 1);
		else if (*line == ':')
			read_chain(r, line + 1);
		else if (!strncmp(line, "-A ", 3))
			read_rule(r, line);
	}
}

const char *
ruleset_read_iptables(struct ruleset *set, const char *tool, int family)
{
	const char *save = arena_printf(set->arena, "%s-save", tool);
	const char *const argv[] = { save, NULL };
	struct reader r = {
		.set = set,
		.tool = tool,
		.family = family,
		.word = family == 4 ? "ip" : "ip6",
	};
	struct spawn_result result;
	const char *why = NULL;
	int err = spawn_run(argv, NULL, &result);

	if (err)
		return arena_printf(set->arena, "%s: %s", save, strerror(-err));
	if (result.status)
		why = arena_printf(set->arena, "%s: %s", save, result.err);
	else
		read_all(&r, result.out);
	spawn_clear(&result);
	return why;
}
