#include "cmd/help.h"

#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

#define COLUMN 24 /* where explanations begin */
#define WIDTH 79

static const char *const values[] = {
	[ARGS_FILE] = "FILE",
	[ARGS_ALGORITHM] = "ALGO",
	[ARGS_NUMBER] = "N",
	[ARGS_ADDRESS] = "ADDRESS",
	[ARGS_NAME] = "NAME",
	[ARGS_PREFIX] = "PREFIX",
	[ARGS_PAIR] = "A,B",
};

const char *
help_value(enum args_value value)
{
	return values[value];
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
	for (const char *const *v = c->verbs; v && *v; v++) {
		if (v > c->verbs)
			strcat(word, "|");
		strcat(word, *v);
	}
	if (*word)
		column = wrap(column, indent, word);
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
		if (row->value) {
			strcat(word, " ");
			strcat(word, values[row->value]);
		}
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
		n += snprintf(left + n, sizeof(left) - n, "%s--%s",
		    row->letter ? ", " : "", row->name);
	if (row->value)
		snprintf(left + n, sizeof(left) - n, " %s", values[row->value]);
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
