/* The rules that `nft -j list ruleset` prints: libnftables-json(5). */
#include <stdio.h>
#include <string.h>

#include "doctor/ruleset.h"

static const char tool[] = "nft";

static const char *
word(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static long
number(json_t *object, const char *key)
{
	return (long)json_integer_value(json_object_get(object, key));
}

/* --- statements ---------------------------------------------------- */

static const struct {
	const char *name;
	enum step_kind kind;
} statements[] = {
	{ "accept", STEP_ACCEPT },
	{ "drop", STEP_DROP },
	{ "reject", STEP_DROP },
	{ "return", STEP_RETURN },
	{ "jump", STEP_JUMP },
	{ "goto", STEP_GOTO },
	{ "notrack", STEP_NOTRACK },
	{ "masquerade", STEP_SNAT },
	{ "dnat", STEP_DNAT },
	{ "redirect", STEP_DNAT },
	{ "queue", STEP_UNKNOWN },
	{ "synproxy", STEP_UNKNOWN },
	{ "quota", STEP_OPAQUE },
	{ "ct count", STEP_OPAQUE },
	{ "xt", STEP_OPAQUE },
};

/* The step of a statement without conditions of its own. */
static struct step
plain(const char *name, json_t *json)
{
	struct step s = { .kind = STEP_NOTHING };

	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
		if (!strcmp(statements[i].name, name)) {
			s.kind = statements[i].kind;
			s.text =
			    json_string_value(json_object_get(json, "target"));
		}
	return s;
}

/* VALUE: a number, or how the key itself is changed. */
static void
set_mark(struct step *s, json_t *value)
{
	json_t *set = json_object_get(value, "|"), *keep;
	uint32_t bits = 0;

	if (!set)
		set = json_object_get(value, "^");
	if (set) {
		bits = (uint32_t)json_integer_value(json_array_get(set, 1));
		value = json_array_get(set, 0);
		s->mask = s->value = bits;
	}
	keep = json_object_get(value, "&");
	if (keep) {
		s->mask = bits |
		    ~(uint32_t)json_integer_value(json_array_get(keep, 1));
		s->value = bits;
	} else if (json_is_integer(value)) {
		s->mask = UINT32_MAX;
		s->value = (uint32_t)json_integer_value(value);
	} else if (!set) {
		s->kind = STEP_NOTHING; /* some other mark: not known here */
	}
}

static void
mangle(struct ruleset_nft *r, json_t *json)
{
	json_t *key = json_object_get(json, "key");
	json_t *value = json_object_get(json, "value");
	const char *name = word(json_object_get(key, "meta"), "key");
	const char *ct = word(json_object_get(key, "ct"), "key");
	struct step s = { .kind = STEP_NOTHING };

	if (!strcmp(name, "mark") || !strcmp(ct, "mark")) {
		s.kind = *ct ? STEP_SET_CT_MARK : STEP_SET_MARK;
		set_mark(&s, value);
	} else if (!strcmp(ct, "zone") && json_is_integer(value)) {
		s.kind = STEP_SET_ZONE;
		s.value = (uint32_t)json_integer_value(value);
	}
	*ruleset_step(r->set, r->rule, s.kind) = s;
}

/* A family's statement lets no packet of the other through. */
static void
tproxy(struct ruleset_nft *r, json_t *json)
{
	const char *address = word(json, "addr");
	uint16_t port = (uint16_t)number(json, "port");
	struct step *s;

	ruleset_nft_require(r, word(json, "family"));
	s = ruleset_step(r->set, r->rule, STEP_TPROXY);
	if (!*address || addr_parse(&s->addr, address, port))
		addr_set_port(&s->addr, port);
}

/* "over" is the other side of it. */
static void
limit(struct ruleset_nft *r, json_t *json)
{
	ruleset_step(r->set, r->rule, STEP_LIMIT)->negated =
	    json_is_true(json_object_get(json, "inv"));
}

static void
snat(struct ruleset_nft *r, json_t *json)
{
	json_t *addr = json_object_get(json, "addr");
	const char *field = word(json_object_get(addr, "payload"), "field");

	ruleset_nft_require(r, word(json, "family"));
	ruleset_step(
	    r->set, r->rule, !strcmp(field, "saddr") ? STEP_KEEP : STEP_SNAT);
}

/* The pairs of a map, be it there or by name; NULL: not known. */
static json_t *
pairs_of(struct ruleset_nft *r, json_t *data)
{
	const char *name = json_string_value(data);

	return name && *name == '@' ? ruleset_nft_elements(r, "map", name + 1)
				    : json_object_get(data, "set");
}

static void
vmap(struct ruleset_nft *r, json_t *json)
{
	json_t *pairs = pairs_of(r, json_object_get(json, "data"));
	json_t *pair, *key = json_object_get(json, "key");
	struct step *s, *branches;
	size_t i;

	branches = arena_alloc(r->set->arena,
	    (2 * json_array_size(pairs) + 1) * sizeof(*branches));
	json_array_foreach(pairs, i, pair)
	{
		json_t *verdict = json_array_get(pair, 1);
		const char *name =
		    json_object_iter_key(json_object_iter(verdict));

		branches[2 * i] = ruleset_nft_condition(
		    r, key, json_array_get(pair, 0), false);
		if (name)
			branches[2 * i + 1] =
			    plain(name, json_object_get(verdict, name));
	}
	s = ruleset_step(r->set, r->rule, pairs ? STEP_NOTHING : STEP_UNKNOWN);
	if (pairs) {
		s->branches = branches;
		s->n_branches = 2 * json_array_size(pairs);
	}
}

static const struct {
	const char *name;
	void (*read)(struct ruleset_nft *r, json_t *json);
} readers[] = {
	{ "match", ruleset_nft_match },
	{ "mangle", mangle },
	{ "tproxy", tproxy },
	{ "snat", snat },
	{ "limit", limit },
	{ "vmap", vmap },
};

static void
statement(struct ruleset_nft *r, const char *name, json_t *json)
{
	struct step s;

	for (size_t i = 0; i < sizeof(readers) / sizeof(*readers); i++)
		if (!strcmp(readers[i].name, name)) {
			readers[i].read(r, json);
			return;
		}
	s = plain(name, json);
	*ruleset_step(r->set, r->rule, s.kind) = s;
}

/* --- chains and rules ---------------------------------------------- */

static const char *const hooks[] = {
	[RULESET_PREROUTING] = "prerouting",
	[RULESET_INPUT] = "input",
	[RULESET_FORWARD] = "forward",
	[RULESET_OUTPUT] = "output",
	[RULESET_POSTROUTING] = "postrouting",
};

static void
read_chain(struct ruleset_nft *r, json_t *json)
{
	const char *family = word(json, "family");
	struct chain *c = ruleset_chain(r->set);

	c->tool = tool;
	c->nft_family = family;
	c->family = !strcmp(family, "ip") ? 4 : !strcmp(family, "ip6") ? 6 : 0;
	c->table = word(json, "table");
	c->name = word(json, "name");
	c->type = json_string_value(json_object_get(json, "type"));
	c->priority = number(json, "prio");
	c->policy_drop = !strcmp(word(json, "policy"), "drop");
	for (int i = 0; i < RULESET_NO_HOOK; i++)
		if (!strcmp(hooks[i], word(json, "hook")))
			c->hook = (enum ruleset_hook)i;
}

static struct chain *
find(struct ruleset_nft *r, json_t *json)
{
	for (size_t i = 0; i < r->set->n_chains; i++) {
		struct chain *c = r->set->chains[i];

		if (c->tool == tool && !strcmp(c->name, word(json, "chain")) &&
		    !strcmp(c->table, word(json, "table")) &&
		    !strcmp(c->nft_family, word(json, "family")))
			return c;
	}
	return NULL;
}

static void
read_rule(struct ruleset_nft *r, json_t *json)
{
	json_t *expression, *value;
	const char *name;
	size_t i;

	r->chain = find(r, json);
	if (!r->chain)
		return;
	r->rule = ruleset_rule(r->set, r->chain);
	r->rule->handle = number(json, "handle");
	r->rule->json = json;
	r->rule->text = arena_printf(r->set->arena, "%s %s %s handle %ld",
	    r->chain->nft_family, r->chain->table, r->chain->name,
	    r->rule->handle);
	json_array_foreach(json_object_get(json, "expr"), i, expression)
	    json_object_foreach(expression, name, value)
		statement(r, name, value);
}

/* IPv4, IPv6 or both; and none of those that iptables has explained. */
static bool
is_ours(json_t *json, const char *skip)
{
	const char *family = word(json, "family");
	char name[256];

	snprintf(name, sizeof(name), " %s/%s ", family, word(json, "table"));
	return !strstr(skip, name) &&
	    (!strcmp(family, "ip") || !strcmp(family, "ip6") ||
		!strcmp(family, "inet"));
}

void
ruleset_read_nft(struct ruleset *set, const char *skip)
{
	struct ruleset_nft r = { .set = set };
	json_t *object, *json;
	size_t i;

	r.list = json_object_get(set->json, "nftables");
	json_array_foreach(
	    r.list, i, object) if ((json = json_object_get(object, "chain")) &&
	    is_ours(json, skip)) read_chain(&r, json);
	json_array_foreach(
	    r.list, i, object) if ((json = json_object_get(object, "rule")) &&
	    is_ours(json, skip)) read_rule(&r, json);
}
