#include "doctor/ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/spawn.h"
#include "gateway/state.h"

#define FILE_MAX_BYTES (1 << 20)

struct chain *
ruleset_chain(struct ruleset *set)
{
	struct chain *chain = arena_alloc(set->arena, sizeof(*chain));

	set->chains = arena_grow(
	    set->arena, set->chains, set->n_chains, sizeof(struct chain *));
	set->chains[set->n_chains++] = chain;
	chain->hook = RULESET_NO_HOOK;
	return chain;
}

/* The chain NAME in the table of NEAR, or NULL. */
struct chain *
ruleset_find(
    const struct ruleset *set, const struct chain *near, const char *name)
{
	for (size_t i = 0; name && i < set->n_chains; i++) {
		struct chain *c = set->chains[i];

		if (c->tool == near->tool && !strcmp(c->table, near->table) &&
		    !strcmp(c->nft_family, near->nft_family) &&
		    !strcmp(c->name, name))
			return c;
	}
	return NULL;
}

struct rule *
ruleset_rule(struct ruleset *set, struct chain *chain)
{
	struct rule *rule = arena_alloc(set->arena, sizeof(*rule));

	chain->rules = arena_grow(
	    set->arena, chain->rules, chain->n_rules, sizeof(struct rule *));
	chain->rules[chain->n_rules++] = rule;
	rule->chain = chain;
	rule->handle = (long)chain->n_rules;
	return rule;
}

struct step *
ruleset_step(struct ruleset *set, struct rule *rule, enum step_kind kind)
{
	struct step *step;

	rule->steps = arena_grow(
	    set->arena, rule->steps, rule->n_steps, sizeof(*rule->steps));
	step = &rule->steps[rule->n_steps++];
	*step = (struct step){ .kind = kind };
	return step;
}

/* Reads nft's listing into set->json. Why not, or NULL. */
static const char *
list_nft(struct ruleset *set)
{
	static const char *const list[] = { "nft", "-j", "list", "ruleset",
		NULL };
	struct spawn_result result;
	const char *why = NULL;
	int err = spawn_run(list, NULL, &result);

	if (err)
		return arena_printf(set->arena, "nft: %s", strerror(-err));
	if (result.status)
		why = arena_printf(set->arena, "nft -j list ruleset: %s",
		    *result.err ? result.err : "failed");
	else
		set->json = json_loads(result.out, 0, NULL);
	if (!why && !set->json)
		why = "what nft -j list ruleset printed is no JSON";
	spawn_clear(&result);
	return why;
}

/* True where the old iptables has tables; asking it would make them. */
static bool
has_legacy(const char *path)
{
	char *text;
	size_t n;
	bool any;

	if (file_read(path, FILE_MAX_BYTES, &text, &n))
		return false;
	any = *text;
	free(text);
	return any;
}

static const struct {
	const char *tool, *tables;
	int family;
} savers[] = {
	{ "iptables", NULL, 4 },
	{ "ip6tables", NULL, 6 },
	{ "iptables-legacy", "/proc/net/ip_tables_names", 4 },
	{ "ip6tables-legacy", "/proc/net/ip6_tables_names", 6 },
};

/* nft shows the tables of iptables, too, less exactly than iptables does. */
static const char *
name_tables(const struct ruleset *set)
{
	const char *names = " ";

	for (size_t i = 0; i < set->n_chains; i++)
		names = arena_printf(set->arena, "%s%s/%s ", names,
		    set->chains[i]->nft_family, set->chains[i]->table);
	return names;
}

/* Whether nft lists something that only iptables can explain. */
static bool
has_xt(json_t *json)
{
	size_t i;
	const char *key;
	json_t *value;

	if (json_object_get(json, "xt"))
		return true;
	json_array_foreach(json, i, value) if (has_xt(value)) return true;
	json_object_foreach(json, key, value) if (has_xt(value)) return true;
	return false;
}

static void reach(const struct ruleset *set, struct chain *chain);

static void
follow(
    const struct ruleset *set, const struct chain *from, const struct step *s)
{
	struct chain *chain = NULL;

	if (s->kind == STEP_JUMP || s->kind == STEP_GOTO)
		chain = ruleset_find(set, from, s->text);
	if (chain)
		reach(set, chain);
	for (size_t i = 0; i < s->n_branches; i++)
		follow(set, from, &s->branches[i]);
}

/* Notes that packets may come to CHAIN, and from there on. */
static void
reach(const struct ruleset *set, struct chain *chain)
{
	if (chain->reached)
		return;
	chain->reached = true;
	for (size_t i = 0; i < chain->n_rules; i++)
		for (size_t j = 0; j < chain->rules[i]->n_steps; j++)
			follow(set, chain, &chain->rules[i]->steps[j]);
}

void
ruleset_read(struct ruleset *set, struct arena *arena)
{
	const char *why, *nft_why;

	*set = (struct ruleset){ .arena = arena };
	nft_why = list_nft(set);
	for (size_t i = 0; i < sizeof(savers) / sizeof(*savers); i++) {
		if (savers[i].tables && !has_legacy(savers[i].tables))
			continue;
		if (savers[i].family == 6 && !state_has_family(1))
			continue;
		why = ruleset_read_iptables(
		    set, savers[i].tool, savers[i].family);
		/* Without nft, or with xt, iptables is the one who knows. */
		if (why && (nft_why || has_xt(set->json)))
			set->unknown = why;
	}
	if (set->json)
		ruleset_read_nft(set, name_tables(set));
	else if (!set->n_chains)
		set->unknown = nft_why;
	for (size_t i = 0; i < set->n_chains; i++)
		if (set->chains[i]->type)
			reach(set, set->chains[i]);
}

void
ruleset_clear(struct ruleset *set)
{
	json_decref(set->json);
	set->json = NULL;
}
