/* The commands that mend a rule of the packet filter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"

const char *
check_quote(struct check *c, const char *text)
{
	const char *out = "'";

	while (*text) {
		size_t n = strcspn(text, "'");

		out = arena_printf(c->facts->arena, "%s%.*s%s", out, (int)n,
		    text, text[n] ? "'\\''" : "");
		text += n + (text[n] ? 1 : 0);
	}
	return arena_printf(c->facts->arena, "%s'", out);
}

static bool
is_nft(const struct chain *chain)
{
	return !strcmp(chain->tool, "nft");
}

const char *
check_name(struct check *c, const struct walk_event *e)
{
	const struct chain *chain = e->rule ? e->rule->chain : e->base;
	const char *place = is_nft(chain) ? chain->nft_family : "-t";

	if (!e->rule)
		return arena_printf(c->facts->arena,
		    "the policy of %s %s %s %s", chain->tool, place,
		    chain->table, chain->name);
	if (is_nft(chain))
		return arena_printf(
		    c->facts->arena, "nft rule %s", e->rule->text);
	return arena_printf(c->facts->arena, "%s -t %s %s", chain->tool,
	    chain->table, e->rule->text);
}

const char *
mend_option(struct check *c)
{
	const char *path = c->facts->path;

	return path
	    ? arena_printf(c->facts->arena, " -c %s", check_quote(c, path))
	    : "";
}

/* Of the firewall command's own: by nft a table, by iptables chains. */
static bool
is_ours(const struct chain *chain)
{
	const char *name = is_nft(chain) ? chain->table : chain->name;

	return !strncmp(name, is_nft(chain) ? "unatatp" : "UNATATP", 7);
}

/* Whether iptables has what is there of ours: it stays so then. */
static bool
is_by_iptables(struct check *c)
{
	const struct ruleset *set = facts_ruleset(c->facts);

	for (size_t i = 0; i < set->n_chains; i++)
		if (!is_nft(set->chains[i]) && is_ours(set->chains[i]))
			return true;
	return false;
}

void
mend_firewall(struct check *c)
{
	if (!c->facts->conf->firewall.n_interfaces)
		check_mend(c,
		    "# name the clients' interfaces in firewall.interfaces, "
		    "then:");
	check_mend(c, "unatatp firewall up%s%s", mend_option(c),
	    is_by_iptables(c) ? " --backend iptables" : "");
}

bool
mend_ours(struct check *c, const struct chain *chain)
{
	if (!facts_is_commanded(c->facts) || (chain && !is_ours(chain)))
		return false;
	mend_firewall(c);
	return true;
}

void
mend_delete(struct check *c, const struct rule *rule)
{
	const struct chain *chain = rule->chain;

	if (is_nft(chain))
		check_mend(c, "nft delete rule %s", rule->text);
	else
		check_mend(c, "%s -t %s -D %s", chain->tool, chain->table,
		    rule->text + strlen("-A "));
}

void
mend_drop(struct check *c, const struct walk_event *e)
{
	const struct chain *chain = e->base;

	if (e->rule)
		mend_delete(c, e->rule);
	else if (is_nft(chain))
		check_mend(c, "nft chain %s %s %s '{ policy accept; }'",
		    chain->nft_family, chain->table, chain->name);
	else
		check_mend(c, "%s -t %s -P %s ACCEPT", chain->tool,
		    chain->table, chain->name);
}

void
mend_insert(struct check *c, const struct chain *chain, const char *nft,
    const char *iptables, const char *verdict)
{
	const char *target = !strcmp(verdict, "accept") ? "ACCEPT" : "RETURN";

	if (is_nft(chain))
		check_mend(c, "nft insert rule %s %s %s %s %s",
		    chain->nft_family, chain->table, chain->name,
		    check_quote(c, nft), verdict);
	else
		check_mend(c, "%s -t %s -I %s 1 %s -j %s", chain->tool,
		    chain->table, chain->name, iptables, target);
}

void
mend_accept_mark(struct check *c, const struct chain *chain)
{
	const struct facts *f = c->facts;

	mend_insert(c, chain,
	    arena_printf(
		f->arena, "meta mark & 0x%x == 0x%x", f->mask, f->mark),
	    arena_printf(
		f->arena, "-m mark --mark 0x%x/0x%x", f->mark, f->mask),
	    "accept");
}

/* --- another rule in the place of one ------------------------------ */

/* Takes EXPRESSIONS. */
static void
replace_nft(struct check *c, const struct rule *rule, json_t *expressions)
{
	const struct chain *chain = rule->chain;
	json_t *json = json_pack("{s:[{s:{s:{s:s,s:s,s:s,s:I,s:o}}}]}",
	    "nftables", "replace", "rule", "family", chain->nft_family, "table",
	    chain->table, "chain", chain->name, "handle",
	    (json_int_t)rule->handle, "expr", expressions);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text)
		check_mend(
		    c, "printf %%s %s | nft -j -f -", check_quote(c, text));
	free(text);
	json_decref(json);
}

/* TEXT with VALUE as the word after OPTION, which is added if need be. */
static const char *
with_option(
    struct check *c, const char *text, const char *option, const char *value)
{
	const char *at = strstr(text, option), *rest;

	if (!at)
		return arena_printf(
		    c->facts->arena, "%s %s %s", text, option, value);
	rest = at + strlen(option);
	rest += strspn(rest, " ");
	rest += strcspn(rest, " ");
	return arena_printf(c->facts->arena, "%.*s%s %s%s", (int)(at - text),
	    text, option, value, rest);
}

static void
replace_iptables(struct check *c, const struct rule *rule, const char *text)
{
	const struct chain *chain = rule->chain;

	/* "-A CHAIN the rest" */
	text += strlen("-A ") + strlen(chain->name);
	text += strspn(text, " ");
	check_mend(c, "%s -t %s -R %s %ld %s", chain->tool, chain->table,
	    chain->name, rule->handle, text);
}

static const struct addr *
first_listener(const struct check *c)
{
	const struct conf *conf = c->facts->conf;
	size_t i = 0;

	while (conf->listens[i].sa.sa_family !=
	    (c->family == 4 ? AF_INET : AF_INET6))
		i++; /* there is one: a row of its family ran */
	return &conf->listens[i];
}

static json_t *
expressions_of(const struct rule *rule)
{
	return json_deep_copy(json_object_get(rule->json, "expr"));
}

void
mend_target(struct check *c, const struct walk_event *e)
{
	const struct rule *rule = e->packet.tproxy;
	const struct addr *a = first_listener(c);
	char host[ADDR_TEXT_MAX];
	json_t *all, *one, *tproxy;
	const char *text;
	size_t i;

	if (mend_ours(c, rule->chain))
		return;
	addr_format_host(a, host);
	if (!rule->json) {
		text = with_option(c, rule->text, "--on-ip", host);
		text = with_option(c, text, "--on-port",
		    arena_printf(c->facts->arena, "%u", addr_port(a)));
		replace_iptables(c, rule, text);
		return;
	}
	all = expressions_of(rule);
	json_array_foreach(all, i, one)
	{
		tproxy = json_object_get(one, "tproxy");
		if (tproxy)
			json_object_update_new(tproxy,
			    json_pack("{s:s,s:s,s:i}", "family",
				c->family == 4 ? "ip" : "ip6", "addr", host,
				"port", (int)addr_port(a)));
	}
	replace_nft(c, rule, all);
}

/* mark = mark & ~mask | mark, as nft writes it. */
static json_t *
mark_statement(const struct facts *f)
{
	return json_pack("{s:{s:{s:{s:s}},s:{s:[{s:[{s:{s:s}},I]},I]}}}",
	    "mangle", "key", "meta", "key", "mark", "value", "|", "&", "meta",
	    "key", "mark", (json_int_t)(uint32_t)~f->mask, (json_int_t)f->mark);
}

static bool
sets_mark(json_t *statement)
{
	json_t *key =
	    json_object_get(json_object_get(statement, "mangle"), "key");

	return !strcmp(facts_text(json_object_get(key, "meta"), "key"), "mark");
}

static void
mend_mark_nft(struct check *c, const struct rule *rule, bool sets)
{
	json_t *all = expressions_of(rule), *one;
	size_t i;

	json_array_foreach(all, i, one) if (sets
		? sets_mark(one)
		: json_object_get(one, "tproxy") != NULL) break;
	if (sets)
		json_array_set_new(all, i, mark_statement(c->facts));
	else
		json_array_insert_new(all, i + 1, mark_statement(c->facts));
	replace_nft(c, rule, all);
}

void
mend_mark(struct check *c, const struct walk_event *e)
{
	const struct facts *f = c->facts;
	const struct rule *rule =
	    e->packet.marker ? e->packet.marker : e->packet.tproxy;

	if (mend_ours(c, rule->chain))
		return;
	if (rule->json) {
		mend_mark_nft(c, rule, e->packet.marker);
		return;
	}
	replace_iptables(c, rule,
	    with_option(c, rule->text,
		rule == e->packet.tproxy ? "--tproxy-mark" : "--set-xmark",
		arena_printf(f->arena, "0x%x/0x%x", f->mark, f->mask)));
}
