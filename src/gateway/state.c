/* Reading the state, and comparing. */
#include "gateway/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* --- ip(8) --------------------------------------------------------- */

/*
 * "9:\tfrom all fwmark 0x100/0xf00 iif lan [detached] lookup 100 proto 117"
 * becomes "pref 9 fwmark 0x100/0xf00 iif lan lookup 100".
 */
static int
take_rule(char *line, struct state_lines *ours, struct state_lines *theirs)
{
	char text[512], *word;
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
			strsep(&line, "\t ");
		} else if (*word && *word != '[') {
			n += snprintf(
			    text + n, sizeof(text) - (size_t)n, " %s", word);
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
			err ? strerror(-err) : result.err) < 0)
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

/* --- the packet filter --------------------------------------------- */

/* What ARGV prints; NULL when it is not there, or fails. */
static char *
output_of(const char *const argv[])
{
	struct spawn_result result;
	char *out = NULL;

	if (spawn_run(argv, NULL, &result))
		return NULL;
	if (!result.status) {
		out = result.out;
		result.out = NULL;
	}
	spawn_clear(&result);
	return out;
}

/* A chain of ours, a rule in it, or one that leads to it. */
static bool
is_ours(const char *line)
{
	const char *last = strrchr(line, ' ');

	if (!strncmp(line, ":UNATATP", 8) || !strncmp(line, "-A UNATATP", 10))
		return true;
	return *line == '-' && !strncmp(last, " UNATATP", 8) &&
	    last - line > 3 && !strncmp(last - 3, " -j", 3);
}

/* A builtin chain that does nothing. */
static bool
is_empty_chain(const char *line)
{
	return *line == ':' && strstr(line, " ACCEPT [");
}

struct sorter {
	FILE *out;
	char *text;
	size_t len;
	bool open; /* the table has begun */
};

static void
sort_line(struct sorter *s, const char *table, const char *line)
{
	if (!strcmp(line, "COMMIT")) {
		if (s->open)
			fputs("COMMIT\n", s->out);
		s->open = false;
		return;
	}
	if (!s->open)
		fprintf(s->out, "%s\n", table);
	s->open = true;
	fprintf(s->out, "%s\n", line);
}

/* The lines of iptables-save into [0] what is ours, [1] theirs. */
static void
sort_lines(struct sorter s[2], char *saved)
{
	char *line, *table = NULL;

	while ((line = strsep(&saved, "\n"))) {
		if (*line == '*')
			table = line;
		if (!strcmp(line, "COMMIT")) {
			sort_line(&s[0], table, line);
			sort_line(&s[1], table, line);
		}
		if (table && (*line == ':' || *line == '-') &&
		    !is_empty_chain(line))
			sort_line(&s[!is_ours(line)], table, line);
	}
}

static int
read_saved(char *saved, char **ours, char **theirs)
{
	struct sorter s[2] = { 0 };
	int err = 0;

	for (int i = 0; i < 2; i++) {
		s[i].out = open_memstream(&s[i].text, &s[i].len);
		if (!s[i].out)
			err = -ENOMEM;
	}
	if (!err)
		sort_lines(s, saved);
	for (int i = 0; i < 2; i++)
		if (s[i].out && fclose(s[i].out))
			err = -ENOMEM;
	for (int i = 0; i < 2; i++)
		if (err || !*s[i].text) {
			free(s[i].text);
			s[i].text = NULL;
		}
	*ours = s[0].text;
	*theirs = s[1].text;
	return err;
}

/* A program that is not there has nothing of ours. */
static int
read_filter(struct state *ours, struct state *theirs)
{
	static const char *const list[] = { "nft", "list", "table", "inet",
		"unatatp", NULL };
	int err = 0;

	ours->nft = output_of(list);
	for (size_t f = 0; !err && f < STATE_FAMILIES; f++) {
		const char *const save[] = { state_families[f].save, NULL };
		char *saved = output_of(save);

		if (saved)
			err = read_saved(
			    saved, &ours->iptables[f], &theirs->iptables[f]);
		free(saved);
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
		err = read_filter(ours, theirs);
	if (err) {
		state_clear(ours);
		state_clear(theirs);
	}
	return err;
}

enum state_backend
state_choose_backend(void)
{
	static const char *const version[] = { "nft", "--version", NULL };
	char *out = output_of(version);

	free(out);
	return out ? STATE_NFT : STATE_IPTABLES;
}

int
state_rehearse(const struct state *want, struct state *got, char **said)
{
	struct state none = { 0 }, filter = { 0 }, theirs = { 0 };
	struct plan plan = { 0 };
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int err = 0;

	*said = NULL;
	*got = (struct state){ 0 };
	if (home < 0 || unshare(CLONE_NEWNET))
		err = -errno;
	if (!err) {
		filter.nft = want->nft;
		memcpy(
		    filter.iptables, want->iptables, sizeof(filter.iptables));
		state_change(&plan, &none, &filter, &none);
		err = plan_run(&plan, said);
		if (!err)
			err = read_filter(got, &theirs);
		plan_clear(&plan);
		state_clear(&theirs);
		if (setns(home, CLONE_NEWNET) && !err)
			err = -errno;
	}
	if (home >= 0)
		close(home);
	return err;
}
