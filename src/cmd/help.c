#include "cmd/help.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sandbox.h"
#include "cmd/args.h"
#include "cmd/command.h"
#include "config.h"

#define COLUMN 24 /* where explanations begin */
#define WIDTH 79

/* Adds WORDS, with SEPARATOR between them, to the N bytes at TEXT. */
static void
join(char *text, size_t n, const char *const *words, const char *separator)
{
	size_t used = strlen(text);

	for (const char *const *word = words; *word && used < n; word++)
		used += (size_t)snprintf(text + used, n - used, "%s%s",
		    word > words ? separator : "", *word);
}

/* Adds what stands after the option of ROW, to the N bytes at TEXT. */
static void
add_value(char *text, size_t n, const struct args_row *row)
{
	const struct args_kind *kind = &args_kinds[row->value];
	const char *name[] = { " ", kind->name, NULL };

	if (!row->value)
		return;
	join(text, n, name, "");
	if (!kind->name)
		join(text, n, kind->words, "|");
}

/* Prints WORD after a blank, on a new line where this one is full. */
static int
wrap(int column, int indent, const char *word)
{
	if (column + 1 + (int)strlen(word) > WIDTH) {
		printf("\n%*s", indent, "");
		column = indent;
	}
	return column + printf(" %s", word);
}

static void
print_usage(const char *lead, const struct command *c)
{
	char word[128] = "";
	int column = printf("%s unatatp", lead), indent = column;

	column += printf(c == commands ? " [%s]" : " %s", c->name);
	if (c->verbs) {
		join(word, sizeof(word), c->verbs, "|");
		column = wrap(column, indent, word);
	}
	if (c->operand)
		column = wrap(column, indent, c->operand);
	for (size_t i = 0; i < args_count; i++) {
		const struct args_row *row = &args_rows[i];

		if (!row->option || !row->help || !args_accepts(c, row))
			continue;
		if (row->letter)
			snprintf(word, sizeof(word), "[-%c", row->letter);
		else
			snprintf(word, sizeof(word), "[--%s", row->name);
		add_value(word, sizeof(word) - 1, row);
		strcat(word, "]");
		column = wrap(column, indent, word);
	}
	putchar('\n');
}

static void
print_option(const struct args_row *row)
{
	char left[64] = "";
	int n = 0;

	if (row->letter)
		n += snprintf(left + n, sizeof(left) - n, "-%c", row->letter);
	if (row->name)
		snprintf(left + n, sizeof(left) - n, "%s--%s",
		    row->letter ? ", " : "", row->name);
	add_value(left, sizeof(left), row);
	if (strlen(left) >= COLUMN - 2)
		printf("  %s\n%*s%s\n", left, COLUMN, "", row->help);
	else
		printf("  %-*s%s\n", COLUMN - 2, left, row->help);
}

void
help_print(void)
{
	puts("unatatp - a transparent TCP proxy for Linux gateways\n");
	for (const struct command *c = commands; c->name; c++)
		print_usage(c == commands ? "usage:" : "      ", c);
	puts("       unatatp --version | --help\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-*s%s\n", COLUMN - 2, c->name, c->help);
	putchar('\n');
	for (size_t i = 0; i < args_count; i++)
		if (args_rows[i].help)
			print_option(&args_rows[i]);
	puts("\nThe forms of the first unatatp: -port N, -bind_ipv4 ADDRESS,\n"
	     "-bind_ipv6_prefix PREFIX, -verbose N.\n\n"
	     "Signals: HUP reloads, USR1 logs counters, TERM and INT drain and "
	     "end.\n"
	     "Manuals: unatatp(8), unatatp.conf(5)");
}

void
help_print_version(void)
{
	const char *obstacle = sandbox_obstacle();
	int version = sandbox_files_version(), err = sandbox_calls_probe();

	puts(PACKAGE_STRING);
	if (obstacle)
		printf("sandbox: no, %s\n", obstacle);
	printf("seccomp: %s\n",
	    err == -ENOTSUP ? "no, not built in"
		: err	    ? "no, not in this kernel"
			    : "yes");
	if (version > 0)
		printf("landlock: version %d\n", version);
	else
		puts("landlock: no, not in this kernel");
}
