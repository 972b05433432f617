/* What of the packet filter is ours. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/spawn.h"
#include "gateway/state.h"

/* No such table, or a kernel without such a filter. */
static bool
is_absence(const char *text)
{
	return strstr(text, "No such file or directory") ||
	    strstr(text, "Protocol not supported");
}

/*
 * What ARGV prints in *OUT; NULL when the program is not there, or when it
 * says that there is nothing. 0, or -errno and *SAID: what cannot be read
 * may be ours.
 */
static int
output_of(const char *const argv[], char **out, char **said)
{
	struct spawn_result result;
	int err = spawn_run(argv, NULL, &result);

	*out = NULL;
	if (err == -ENOENT)
		return 0;
	if (!err && !result.status) {
		*out = result.out;
		result.out = NULL;
	} else if (err || result.status == 127 || !is_absence(result.err)) {
		if (asprintf(said, "%s: %s", argv[0],
			err ? spawn_error(err) : result.err) < 0)
			*said = NULL;
		err = err ? err : -EIO;
	}
	spawn_clear(&result);
	return err;
}

/* A chain of ours, a rule in it, or one that leads to it. */
static bool
is_ours(const char *line)
{
	const char *last = strrchr(line, ' ');

	if (!strncmp(line, ":UNATATP", 8) || !strncmp(line, "-A UNATATP", 10))
		return true;
	/* A quote is the end of a comment that reads so. */
	return *line == '-' && last && !strncmp(last, " UNATATP", 8) &&
	    !strchr(last, '"') && last - line > 3 &&
	    !strncmp(last - 3, " -j", 3);
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

/*
 * iptables-save cannot say all that others have made by nft, and then it
 * fails. nft can tell whether there is anything of ours among it.
 */
static bool
has_chains(size_t f)
{
	const char *const list[] = { "nft", "list", "chains",
		state_families[f].nft, NULL };
	char *out, *said = NULL;
	bool has = true;

	if (!output_of(list, &out, &said))
		has = !out || strstr(out, "chain UNATATP");
	free(out);
	free(said);
	return has;
}

static int
read_iptables(struct state *ours, struct state *theirs, size_t f, char **said)
{
	const char *const save[] = { state_families[f].save, NULL };
	char *saved;
	int err = output_of(save, &saved, said);

	if (saved)
		err =
		    read_saved(saved, &ours->iptables[f], &theirs->iptables[f]);
	free(saved);
	if (err != -EIO || !*said || !strstr(*said, "(nf_tables)") ||
	    has_chains(f))
		return err;
	theirs->unreadable[f] = *said;
	*said = NULL;
	return 0;
}

/* A program that is not there has nothing of ours. */
int
state_read_filter(struct state *ours, struct state *theirs, char **said)
{
	static const char *const list[] = { "nft", "list", "table", "inet",
		"unatatp", NULL };
	int err = output_of(list, &ours->nft, said);

	for (size_t f = 0; !err && f < STATE_FAMILIES; f++)
		err = read_iptables(ours, theirs, f, said);
	return err;
}

enum state_backend
state_choose_backend(void)
{
	static const char *const version[] = { "nft", "--version", NULL };
	char *out, *said = NULL;
	int err = output_of(version, &out, &said);

	free(out);
	free(said);
	return out || err ? STATE_NFT : STATE_IPTABLES;
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
			err = state_read_filter(got, &theirs, said);
		plan_clear(&plan);
		state_clear(&theirs);
		if (setns(home, CLONE_NEWNET) && !err)
			err = -errno;
	}
	if (home >= 0)
		close(home);
	return err;
}
