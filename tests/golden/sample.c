/*
 * Writes conf/unatatp.conf, the sample with every option, from the table
 * of options. tests/golden/run compares, `make update-sample` replaces.
 */
#include <stdio.h>
#include <string.h>

#include "conf/option.h"

static const char head[] =
    "# unatatp.conf: the sample configuration of unatatp.\n"
    "#\n"
    "# It has every option, at its default: as it stands, it changes "
    "nothing, and\n"
    "# what you do not need may go. unatatp.conf(5) says more about each; "
    "after\n"
    "# changes, `unatatp check` looks for mistakes and a reload (SIGHUP) "
    "applies\n"
    "# all but what says \"restart\".\n"
    "#\n"
    "# Durations are \"500ms\", \"10s\", \"5m\" or \"2h\"; sizes \"256K\" or "
    "\"4M\", in bytes;\n"
    "# rates \"50M\", in bits a second.\n";

static const char example[] =
    "  # An example: BBR towards the clients of a VPN, no web for guests.\n"
    "  # { name = \"vpn\";\n"
    "  #   sources = [ \"192.168.0.0/24\", \"fd00:1::/64\" ];\n"
    "  #   client = { congestion = \"bbr\"; }; },\n"
    "  # { name = \"guests\";\n"
    "  #   sources = [ \"10.20.0.0/16\" ];\n"
    "  #   ports = [ \"80\", \"443\" ];\n"
    "  #   action = \"reject\"; },\n"
    "\n";

/* What it may be, in brackets: the bounds, the words, "restart". */
static void
write_bounds(const struct option_row *row)
{
	const char *separator = " (";
	char range[OPTION_RANGE_MAX];

	if (row->words)
		for (const struct option_word *w = row->words; w->name; w++) {
			printf("%s%s", separator, w->name);
			separator = ", ";
		}
	else if (row->max) {
		printf("%s%s", separator, option_range(row, range));
		separator = "; ";
	}
	if (row->flags & OPTION_RESTART) {
		printf("%srestart", *separator == ' ' ? separator : "; ");
		separator = ", ";
	}
	puts(*separator == ' ' ? "" : ")");
}

static void write_scope(enum option_scope scope, int depth);

static void
write_value(const struct option_row *row, int depth)
{
	const char *quote = option_is_quoted(row->type) ? "\"" : "";
	const char *text = row->initial ? row->initial : "\"default\"";
	const char *comma = strstr(text, "}, ");

	printf("%*s%s = ", depth, "", row->name);
	if (row->type == OPTION_GROUP) {
		puts("{");
		write_scope(row->inner, depth + 2);
		printf("%*s}", depth, "");
	} else if (row->type == OPTION_POLICIES) {
		printf("(\n%s  {\n", example);
		write_scope(OPTION_IN_POLICY, depth + 4);
		printf("  }\n)");
	} else if (comma) {
		printf("%.*s\n%*s%s", (int)(comma - text) + 2, text,
		    (int)strlen(row->name) + 5, "", comma + 3);
	} else {
		printf("%s%s%s", row->initial ? quote : "", text,
		    row->initial ? quote : "");
	}
	puts(";");
}

static void
write_scope(enum option_scope scope, int depth)
{
	static bool told[OPTION_SCOPES];
	bool explain = !told[scope];

	told[scope] = true;
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (row->scope != scope)
			continue;
		if (!depth)
			puts("");
		if (explain) {
			printf("%*s# %s", depth, "", row->help);
			write_bounds(row);
		}
		if (row->type == OPTION_LISTENS) {
			printf("# port: %s",
			    option_find(OPTION_IN_LISTEN, "port")->help);
			write_bounds(option_find(OPTION_IN_LISTEN, "port"));
		}
		write_value(row, depth);
	}
}

int
main(void)
{
	fputs(head, stdout);
	write_scope(OPTION_IN_TOP, 0);
	return 0;
}
