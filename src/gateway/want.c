/* What the configuration asks for. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/spawn.h"
#include "gateway/match.h"
#include "gateway/rules.h"
#include "gateway/state.h"

#define FIRST_PREF 117 /* of three rules that stand in a row */

__attribute__((format(printf, 2, 3))) static int
add(struct state_lines *lines, const char *format, ...)
{
	char text[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return state_add(lines, text, (size_t)n);
}

/*
 * Packets that come back to a client's address come by whatever interface
 * the server is behind. A rule without `iif' is for them, but not for the
 * kernel's look at where a packet's source lies (__fib_validate_source with
 * src_valid_mark), which is done as for `iif lo': it would find everything
 * local and drop the packet as a martian. So `lo' jumps over that rule.
 */
static int
want_return(struct state_lines *rules, const char *mark, unsigned table)
{
	int err =
	    add(rules, "pref %d iif lo goto %d", FIRST_PREF, FIRST_PREF + 2);

	if (!err)
		err = add(rules, "pref %d fwmark %s lookup %u", FIRST_PREF + 1,
		    mark, table);
	return err ? err : add(rules, "pref %d nop", FIRST_PREF + 2);
}

static int
want_ip(struct state *want, const struct conf *conf)
{
	const struct conf_firewall *c = &conf->firewall;
	unsigned table = (unsigned)c->table;
	char mark[32];
	int n, err = 0;

	n = snprintf(mark, sizeof(mark), "0x%x", (unsigned)c->mark);
	if (c->mask != UINT32_MAX) /* ip-rule prints no full mask */
		snprintf(mark + n, sizeof(mark) - (size_t)n, "/0x%x",
		    (unsigned)c->mask);
	for (size_t f = 0; !err && f < STATE_FAMILIES; f++) {
		if (!state_serves_family(f))
			continue;
		err = add(
		    &want->routes[f], "local default dev lo table %u", table);
		for (size_t i = 0; !err && i < c->n_interfaces; i++)
			err = add(&want->rules[f], "fwmark %s iif %s lookup %u",
			    mark, c->interfaces[i].name, table);
		if (!err && match_transparent(conf))
			err = want_return(&want->rules[f], mark, table);
	}
	return err;
}

/* --- iptables' memory ---------------------------------------------- */

/* The comment of the jump from CHAIN of TABLE in SAVED; NULL: no jump. */
static const char *
find_comment(const char *saved, const char *table, const char *chain)
{
	char head[32], start[64];
	const char *at, *end;

	snprintf(head, sizeof(head), "*%s\n", table);
	snprintf(start, sizeof(start), "\n-A %s ", chain);
	at = saved ? strstr(saved, head) : NULL;
	end = at ? strstr(at, "\nCOMMIT") : NULL;
	at = at ? strstr(at, start) : NULL;
	if (!at || !end || at > end)
		return NULL;
	at += strlen(start);
	if (strncmp(at, RULES_COMMENTED, strlen(RULES_COMMENTED)))
		return "";
	at += strlen(RULES_COMMENTED);
	return strncmp(at, RULES_MADE_TABLE, strlen(RULES_MADE_TABLE))
	    ? RULES_MADE_CHAIN
	    : RULES_MADE_TABLE;
}

/* The older iptables has all of its tables and chains always. */
static bool
makes_tables(void)
{
	static const char *const version[] = { "iptables", "--version", NULL };
	struct spawn_result result;
	bool makes;

	if (spawn_run(version, NULL, &result))
		return false;
	makes = strstr(result.out, "nf_tables") != NULL;
	spawn_clear(&result);
	return makes;
}

/* What a first rule in CHAIN will make: the comment for it. */
static const char *
look_ahead(const char *word, const char *table, const char *chain)
{
	const char *const list[] = { "nft", "list", "table", word, table,
		NULL };
	struct spawn_result result;
	const char *answer = "";
	char start[64];

	if (!makes_tables() || spawn_run(list, NULL, &result))
		return "";
	snprintf(start, sizeof(start), "chain %s {", chain);
	if (!result.status)
		answer = strstr(result.out, start) ? "" : RULES_MADE_CHAIN;
	else if (strstr(result.err, "No such file"))
		answer = RULES_MADE_TABLE;
	spawn_clear(&result);
	return answer;
}

struct memory {
	const char *saved, *word;
};

static const char *
recall(void *arg, const char *table, const char *chain)
{
	const struct memory *m = arg;
	const char *comment = find_comment(m->saved, table, chain);

	return comment ? comment : look_ahead(m->word, table, chain);
}

/* --- both ---------------------------------------------------------- */

static int
write_filter(char **text, const struct conf *conf, enum state_backend backend,
    size_t f, const struct state *now)
{
	struct memory m = { now->iptables[f], state_families[f].nft };
	size_t len;
	FILE *out = open_memstream(text, &len);
	int err;

	if (!out)
		return -ENOMEM;
	if (backend == STATE_NFT)
		err = rules_nft(conf, out);
	else
		err = rules_iptables(
		    conf, state_families[f].family, recall, &m, out);
	if (fclose(out))
		err = -ENOMEM;
	return err;
}

int
state_want(struct state *want, const struct conf *conf,
    enum state_backend backend, const struct state *now)
{
	int err;

	*want = (struct state){ 0 };
	err = want_ip(want, conf);
	if (!err && backend == STATE_NFT)
		err = write_filter(&want->nft, conf, backend, 0, now);
	for (size_t f = 0; backend != STATE_NFT && f < STATE_FAMILIES; f++)
		if (!err && state_serves_family(f))
			err = write_filter(
			    &want->iptables[f], conf, backend, f, now);
	if (err)
		state_clear(want);
	return err;
}
