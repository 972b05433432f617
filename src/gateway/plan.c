#include "gateway/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/spawn.h"

#define WORDS_MAX 32

/* What ip(8) says when somebody else has done the same a moment ago. */
static const char *const done_already[] = { "File exists",
	"No such file or directory", "No such process" };

void
plan_add(struct plan *plan, const struct plan_step *step)
{
	struct plan_step *more =
	    realloc(plan->steps, (plan->n + 1) * sizeof(*more));
	struct plan_step *s;

	if (!more) {
		plan->failed = true;
		return;
	}
	plan->steps = more;
	s = &more[plan->n++];
	*s = *step;
	s->command = strdup(step->command);
	s->input = step->input ? strdup(step->input) : NULL;
	if (!s->command || (step->input && !s->input))
		plan->failed = true;
}

void
plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		free(plan->steps[i].command);
		free(plan->steps[i].input);
	}
	free(plan->steps);
	*plan = (struct plan){ 0 };
}

/* --- as shell ------------------------------------------------------ */

/* Names of interfaces may hold anything but blanks. */
static void
print_word(const char *word, size_t len, FILE *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_./:=,+@%";

	if (strspn(word, plain) >= len) {
		fwrite(word, 1, len, out);
		return;
	}
	putc('\'', out);
	for (size_t i = 0; i < len; i++)
		if (word[i] == '\'')
			fputs("'\\''", out);
		else
			putc(word[i], out);
	putc('\'', out);
}

static void
print_lines(const char *text, const char *prefix, FILE *out)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		fprintf(out, "%s%.*s\n", prefix, (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void
print_step(const struct plan_step *s, const char *prefix, FILE *out)
{
	const char *word = s->command;

	fprintf(out, "%s%s", prefix, s->done ? "# in place: " : "");
	while (*word) {
		size_t len = strcspn(word, " ");

		print_word(word, len, out);
		word += len;
		if (*word)
			putc(*word++, out);
	}
	if (s->input)
		fputs(" <<'END'", out);
	fputs(s->optional ? " || :\n" : "\n", out);
	if (s->input) {
		print_lines(s->input, prefix, out);
		fprintf(out, "%sEND\n", prefix);
	}
}

void
plan_print(const struct plan *plan, const char *prefix, FILE *out)
{
	for (size_t i = 0; !plan->failed && i < plan->n; i++)
		print_step(&plan->steps[i], prefix, out);
}

/* --- carried out --------------------------------------------------- */

static bool
may_fail(const struct plan_step *s, const char *text)
{
	size_t n = sizeof(done_already) / sizeof(*done_already);

	for (size_t i = 0; i < n && !strncmp(s->command, "ip ", 3); i++)
		if (strstr(text, done_already[i]))
			return true;
	return s->optional;
}

static void
say(char **said, const struct plan_step *s, int err, const char *text)
{
	if (!text || !*text)
		text = err == -EIO ? "failed and does not say why"
				   : spawn_error(err);
	if (asprintf(said, "%s: %s", s->command, text) < 0)
		*said = NULL;
}

static int
run_step(const struct plan_step *s, char **said)
{
	const char *words[WORDS_MAX + 1] = { NULL };
	char *copy = strdup(s->command), *rest = copy, *word;
	struct spawn_result result = { 0 };
	size_t n = 0;
	int err;

	while (copy && n < WORDS_MAX && (word = strsep(&rest, " ")))
		words[n++] = word;
	err = copy ? spawn_run(words, s->input, &result) : -ENOMEM;
	if (!err && result.status && !may_fail(s, result.err))
		err = -EIO;
	if (err == -ENOENT && s->optional)
		err = 0;
	if (err)
		say(said, s, err, result.err);
	spawn_clear(&result);
	free(copy);
	return err;
}

int
plan_run(const struct plan *plan, char **said)
{
	int err = plan->failed ? -ENOMEM : 0;

	*said = NULL;
	for (size_t i = 0; !err && i < plan->n; i++)
		if (!plan->steps[i].done)
			err = run_step(&plan->steps[i], said);
	return err;
}
