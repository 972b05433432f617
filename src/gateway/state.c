/* Reading the state, and comparing. */
#include "gateway/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/spawn.h"

const struct state_family state_families[STATE_FAMILIES] = {
	{ AF_INET, "ip", "iptables-save", "iptables-restore", "ip" },
	{ AF_INET6, "ip -6", "ip6tables-save", "ip6tables-restore", "ip6" },
};

static void
lines_clear(struct state_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->at[i]);
	free(lines->at);
}

void
state_clear(struct state *state)
{
	for (size_t f = 0; f < STATE_FAMILIES; f++) {
		lines_clear(&state->rules[f]);
		lines_clear(&state->routes[f]);
		free(state->iptables[f]);
		free(state->unreadable[f]);
	}
	free(state->nft);
	*state = (struct state){ 0 };
}

int
state_add(struct state_lines *lines, const char *line, size_t len)
{
	char **more = realloc(lines->at, (lines->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	lines->at = more;
	lines->at[lines->n] = strndup(line, len);
	if (!lines->at[lines->n])
		return -ENOMEM;
	lines->n++;
	return 0;
}

/* READ, as read, is WANTED, or that without the place it got. */
static bool
is_same(const char *read, const char *wanted)
{
	if (strncmp(wanted, "pref ", 5) && !strncmp(read, "pref ", 5)) {
		read += 5;
		read += strspn(read, "0123456789 ");
	}
	return !strcmp(read, wanted);
}

bool
state_has(const struct state_lines *lines, const char *line)
{
	for (size_t i = 0; i < lines->n; i++)
		if (is_same(lines->at[i], line))
			return true;
	return false;
}

bool
state_is_wanted(const char *line, const struct state_lines *want)
{
	for (size_t i = 0; i < want->n; i++)
		if (is_same(line, want->at[i]))
			return true;
	return false;
}

bool
state_takes_place(const char *rule, const struct state_lines *want)
{
	unsigned place, other;

	if (state_is_wanted(rule, want) || sscanf(rule, "pref %u", &place) != 1)
		return false;
	for (size_t i = 0; i < want->n; i++)
		if (sscanf(want->at[i], "pref %u", &other) == 1 &&
		    other == place)
			return true;
	return false;
}

/* --- ip(8) --------------------------------------------------------- */

/*
 * "9:\tfrom all fwmark 0x100/0xf00 iif lan [detached] lookup 100 proto 117"
 * becomes "pref 9 fwmark 0x100/0xf00 iif lan lookup 100".
 */
static int
take_rule(char *line, struct state_lines *ours, struct state_lines *theirs)
{
	char text[512], *word, *name;
	int n = snprintf(text, sizeof(text), "pref %.*s",
	    (int)strspn(line, "0123456789"), line);
	bool is_ours = false;

	line += strcspn(line, "\t ");
	while ((word = strsep(&line, "\t "))) {
		if (!strcmp(word, "proto")) {
			word = strsep(&line, "\t ");
			is_ours = word && !strcmp(word, STATE_PROTOCOL);
		} else if (!strcmp(word, "from") && line &&
		    !strncmp(line, "all", 3)) {
			(void)strsep(&line, "\t ");
		} else if (*word && *word != '[') {
			/* An interface may be called "proto", too. */
			name = strcmp(word, "iif") && strcmp(word, "oif")
			    ? NULL
			    : strsep(&line, "\t ");
			n += snprintf(text + n, sizeof(text) - (size_t)n,
			    " %s%s%s", word, name ? " " : "", name ? name : "");
			if (n >= (int)sizeof(text)) /* none of ours */
				return 0;
		}
	}
	return state_add(is_ours ? ours : theirs, text, (size_t)n);
}

static int
take_our_route(char *line, struct state_lines *ours, struct state_lines *theirs)
{
	const char *table = strstr(line, " table ");
	char text[64];
	int n;

	(void)theirs;
	if (!table || !strstr(line, " dev lo "))
		return 0;
	table += 7;
	n = snprintf(text, sizeof(text), "local default dev lo table %.*s",
	    (int)strcspn(table, " "), table);
	return state_add(ours, text, (size_t)n);
}

static int
take_their_route(
    char *line, struct state_lines *ours, struct state_lines *theirs)
{
	(void)ours;
	return strstr(line, " proto " STATE_PROTOCOL " ")
	    ? 0
	    : state_add(theirs, line, strlen(line));
}

typedef int take_line(
    char *line, struct state_lines *ours, struct state_lines *theirs);

/* Every line that ARGV prints goes to TAKE. */
static int
read_lines(const char *const argv[], bool may_fail, take_line *take,
    struct state_lines *ours, struct state_lines *theirs, char **said)
{
	struct spawn_result result;
	int err = spawn_run(argv, NULL, &result);
	char *rest = result.out, *line;

	if (err || (result.status && !may_fail)) {
		if (asprintf(said, "%s: %s", argv[0],
			err ? spawn_error(err) : result.err) < 0)
			*said = NULL;
		spawn_clear(&result);
		return err ? err : -EIO;
	}
	while (!err && !result.status && (line = strsep(&rest, "\n")))
		if (*line)
			err = take(line, ours, theirs);
	spawn_clear(&result);
	return err;
}

/*
 * A route that is the one we want, be it another's, gets our words. -N
 * prints numbers, in newer releases the type's too, which comes first.
 */
static int
name_routes(struct state_lines *routes, unsigned table)
{
	char ours[64];
	const char *type = ours + strlen("local");
	size_t len; /* of what comes between type and table */

	snprintf(ours, sizeof(ours), "local default dev lo table %u", table);
	len = (size_t)(strstr(type, "table") - type);
	for (size_t i = 0; i < routes->n; i++) {
		char *line = routes->at[i];

		if (strncmp(line, "2 ", 2) && strncmp(line, "local ", 6))
			continue;
		if (strncmp(line + strcspn(line, " "), type, len))
			continue;
		routes->at[i] = strdup(ours);
		free(line);
		if (!routes->at[i])
			return -ENOMEM;
	}
	return 0;
}

/* /proc/sys/net is that of the network namespace. */
bool
state_has_family(size_t f)
{
	return f == 0 || access("/proc/sys/net/ipv6", F_OK) == 0;
}

bool
state_serves_family(size_t f)
{
	char *text = NULL;
	size_t len;
	bool off;

	if (f == 0 || !state_has_family(f))
		return f == 0;
	off = !file_read(
		  "/proc/sys/net/ipv6/conf/lo/disable_ipv6", 16, &text, &len) &&
	    *text == '1';
	free(text);
	return !off;
}

/* -N: names of tables and protocols as their numbers. */
static int
read_ip(struct state *ours, struct state *theirs, unsigned table, char **said)
{
	char number[16];
	int err = 0;

	snprintf(number, sizeof(number), "%u", table);
	for (size_t f = 0; !err && f < STATE_FAMILIES; f++) {
		const char *version = f ? "-6" : "-4";
		const char *const rules[] = { "ip", "-N", version, "rule",
			"show", NULL };
		const char *const all[] = { "ip", "-N", version, "route",
			"show", "table", "all", "proto", STATE_PROTOCOL, NULL };
		const char *const one[] = { "ip", "-N", version, "route",
			"show", "table", number, NULL };

		if (!state_has_family(f))
			continue;
		err = read_lines(rules, false, take_rule, &ours->rules[f],
		    &theirs->rules[f], said);
		if (!err)
			err = read_lines(all, false, take_our_route,
			    &ours->routes[f], &theirs->routes[f], said);
		/* A table that no route has made yet is an error to it. */
		if (!err && table)
			err = read_lines(one, true, take_their_route,
			    &ours->routes[f], &theirs->routes[f], said);
		if (!err)
			err = name_routes(&theirs->routes[f], table);
	}
	return err;
}

int
state_read(
    struct state *ours, struct state *theirs, unsigned table, char **said)
{
	int err;

	*said = NULL;
	*ours = *theirs = (struct state){ 0 };
	err = read_ip(ours, theirs, table, said);
	if (!err)
		err = state_read_filter(ours, theirs, said);
	if (err) {
		state_clear(ours);
		state_clear(theirs);
	}
	return err;
}
