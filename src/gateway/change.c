/* From one state to another: the steps, and iptables-restore's texts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/rules.h"
#include "gateway/state.h"

/* --- rules and routes ---------------------------------------------- */

static void
add_step(struct plan *plan, size_t f, const char *what, const char *verb,
    const char *line, bool done)
{
	char command[640];

	snprintf(command, sizeof(command), "%s %s %s %s protocol %s",
	    state_families[f].ip, what, verb, line, STATE_PROTOCOL);
	plan_add(plan, &(struct plan_step){ .command = command, .done = done });
}

static void
add_lines(struct plan *plan, size_t f, const char *what,
    const struct state_lines *from, const struct state_lines *to,
    const struct state_lines *theirs)
{
	for (size_t i = 0; i < to->n; i++)
		add_step(plan, f, what, "add", to->at[i],
		    state_has(from, to->at[i]) || state_has(theirs, to->at[i]));
}

static void
del_lines(struct plan *plan, size_t f, const char *what,
    const struct state_lines *from, const struct state_lines *to)
{
	for (size_t i = 0; i < from->n; i++)
		if (!state_is_wanted(from->at[i], to))
			add_step(plan, f, what, "del", from->at[i], false);
}

/* --- nft ----------------------------------------------------------- */

/* Whatever was there goes in the same transaction. */
static void
load_nft(struct plan *plan, const char *to)
{
	struct plan_step step = { .command = (char[]){ "nft -f -" } };

	if (asprintf(&step.input,
		"table inet unatatp\ndelete table inet unatatp\n%s", to) < 0) {
		plan->failed = true;
		return;
	}
	plan_add(plan, &step);
	free(step.input);
}

static void
change_nft(struct plan *plan, const char *from, const char *to)
{
	if (to && (!from || strcmp(from, to)))
		load_nft(plan, to);
	else if (from && !to)
		plan_add(plan,
		    &(struct plan_step){
			.command = (char[]){ "nft delete table inet unatatp" },
		    });
}

/* --- iptables ------------------------------------------------------ */

static const char *const tables[] = { "raw", "mangle", "nat", "filter" };

#define TABLES (sizeof(tables) / sizeof(*tables))

/* Where one is in a text as iptables-save prints it. */
struct cursor {
	const char *text; /* the rest; NULL: nothing */
	const char *table, *line;
	size_t table_len, len;
};

/* To the next chain or rule; false at the end. */
static bool
next(struct cursor *c)
{
	while (c->text && *c->text) {
		c->line = c->text;
		c->len = strcspn(c->line, "\n");
		c->text += c->len + (c->line[c->len] == '\n');
		if (*c->line == '*') {
			c->table = c->line + 1;
			c->table_len = c->len - 1;
		} else if (*c->line == ':' || *c->line == '-') {
			return true;
		}
	}
	return false;
}

static bool
is_in(const struct cursor *c, const char *table)
{
	return c->table && strlen(table) == c->table_len &&
	    !strncmp(c->table, table, c->table_len);
}

/* A builtin chain's rule that leads to one of ours. */
static bool
is_jump(const struct cursor *c)
{
	return *c->line == '-' && strncmp(c->line, "-A UNATATP", 10) != 0;
}

/* C's line, or its first LEN bytes, is a line of TEXT, or begins one. */
static bool
has_line(
    const char *text, const char *table, const struct cursor *c, size_t len)
{
	struct cursor other = { .text = text };

	while (next(&other))
		if (is_in(&other, table) &&
		    (len == c->len ? other.len == len : other.len > len) &&
		    !strncmp(other.line, c->line, len))
			return true;
	return false;
}

/* Of ":NAME - [0:0]", with the blank. */
static size_t
name_len(const struct cursor *c)
{
	return strcspn(c->line, " ") + 1;
}

/* What is of FROM and not of TO: first jumps and rules, LAST the chains. */
static void
write_removal(
    const char *from, const char *to, const char *table, bool last, FILE *out)
{
	struct cursor c = { .text = from };

	while (next(&c)) {
		if (!is_in(&c, table))
			continue;
		if (*c.line == ':' && !has_line(to, table, &c, name_len(&c)))
			fprintf(out, "-%c %.*s\n", last ? 'X' : 'F',
			    (int)name_len(&c) - 2, c.line + 1);
		if (!last && is_jump(&c) && !has_line(to, table, &c, c.len))
			fprintf(out, "-D %.*s\n", (int)c.len - 3, c.line + 3);
	}
}

/* Chains are emptied or made, filled, and then led to, from the top. */
static void
write_addition(const char *from, const char *to, const char *table, FILE *out)
{
	struct cursor chains = { .text = to }, rules = { .text = to };

	while (next(&chains))
		if (is_in(&chains, table) && *chains.line == ':')
			fprintf(out, "%.*s\n", (int)chains.len, chains.line);
	while (next(&rules)) {
		if (!is_in(&rules, table) || *rules.line == ':')
			continue;
		if (!is_jump(&rules))
			fprintf(out, "%.*s\n", (int)rules.len, rules.line);
		else if (!has_line(from, table, &rules, rules.len))
			fprintf(out, "-I %.*s\n", (int)rules.len - 3,
			    rules.line + 3);
	}
}

static bool
uses(const char *text, const char *table)
{
	struct cursor c = { .text = text };

	while (next(&c))
		if (is_in(&c, table))
			return true;
	return false;
}

static void
write_change(const char *from, const char *to, FILE *out)
{
	for (size_t i = 0; i < TABLES; i++) {
		if (!uses(from, tables[i]) && !uses(to, tables[i]))
			continue;
		fprintf(out, "*%s\n", tables[i]);
		write_addition(from, to, tables[i], out);
		write_removal(from, to, tables[i], false, out);
		write_removal(from, to, tables[i], true, out);
		fprintf(out, "COMMIT\n");
	}
}

static bool
says(const struct cursor *c, const char *comment)
{
	return memmem(c->line, c->len, comment, strlen(comment)) != NULL;
}

/*
 * iptables-nft makes a table, and a builtin chain in it, for the first
 * rule that wants them, and leaves both behind. Ours say in a comment that
 * it was for them: so they go with them, unless others have moved in.
 */
static void
tidy(struct plan *plan, size_t f, const char *from, const char *to,
    const char *theirs)
{
	struct cursor c = { .text = from };
	char command[128], last[128] = "";

	while (next(&c)) {
		char table[16];
		bool whole;

		snprintf(
		    table, sizeof(table), "%.*s", (int)c.table_len, c.table);
		if (!is_jump(&c) || !says(&c, RULES_MADE) ||
		    has_line(to, table, &c, c.len))
			continue;
		whole = says(&c, RULES_MADE_TABLE) && !uses(theirs, table) &&
		    !uses(to, table);
		snprintf(command, sizeof(command), "nft delete %s %s %s",
		    whole ? "table" : "chain", state_families[f].nft, table);
		if (!whole)
			snprintf(command + strlen(command),
			    sizeof(command) - strlen(command), " %.*s",
			    (int)strcspn(c.line + 3, " "), c.line + 3);
		if (strcmp(command, last)) /* a table may have two jumps */
			plan_add(plan,
			    &(struct plan_step){
				.command = command, .optional = true });
		strcpy(last, command);
	}
}

static void
change_iptables(struct plan *plan, size_t f, const char *from, const char *to,
    const char *theirs)
{
	char command[64], *text = NULL;
	size_t len;
	FILE *out;

	if ((!from && !to) || (from && to && !strcmp(from, to)))
		return;
	out = open_memstream(&text, &len);
	if (out)
		write_change(from, to, out);
	if (!out || fclose(out)) {
		plan->failed = true;
	} else {
		snprintf(command, sizeof(command), "%s --noflush -w",
		    state_families[f].restore);
		plan_add(plan,
		    &(struct plan_step){ .command = command, .input = text });
		tidy(plan, f, from, to, theirs);
	}
	free(text);
}

/* What leads packets somewhere stands while the filter sends them there. */
void
state_change(struct plan *plan, const struct state *from,
    const struct state *to, const struct state *theirs)
{
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		add_lines(plan, f, "route", &from->routes[f], &to->routes[f],
		    &theirs->routes[f]);
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		add_lines(plan, f, "rule", &from->rules[f], &to->rules[f],
		    &theirs->rules[f]);
	if (to->nft)
		change_nft(plan, from->nft, to->nft);
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		change_iptables(plan, f, from->iptables[f], to->iptables[f],
		    theirs->iptables[f]);
	if (!to->nft)
		change_nft(plan, from->nft, NULL);
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		del_lines(plan, f, "rule", &from->rules[f], &to->rules[f]);
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		del_lines(plan, f, "route", &from->routes[f], &to->routes[f]);
}
