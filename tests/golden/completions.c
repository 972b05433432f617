/*
 * Writes contrib/completions, what bash, zsh and fish complete, from the
 * tables of commands and options: `completions bash|zsh|fish`.
 * tests/golden/run compares, `make update-completions` replaces.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

#define ALGORITHMS "/proc/sys/net/ipv4/tcp_available_congestion_control"
#define MADE                                                               \
	"# Made by `make update-completions` from the tables of commands " \
	"and options.\n"

static bool
is_shown(const struct command *c, const struct args_row *row)
{
	return row->help && args_accepts(c, row);
}

/* TEXT, with a backslash before each character that is in SPECIAL. */
static void
print_escaped(const char *text, const char *special)
{
	for (; *text; text++) {
		if (strchr(special, *text))
			putchar('\\');
		putchar(*text);
	}
}

/* TEXT for single quotes, where a shell knows no escape. */
static void
print_quoted(const char *text, const char *special)
{
	char one[2] = "";

	for (; *text; text++) {
		*one = *text;
		if (*one == '\'')
			fputs("'\\''", stdout);
		else
			print_escaped(one, special);
	}
}

static void
print_words(const char *const *words)
{
	for (const char *const *word = words; word && *word; word++)
		printf("%s%s", word > words ? " " : "", *word);
}

static void
print_commands(void)
{
	for (const struct command *c = commands; c->name; c++)
		printf("%s%s", c > commands ? " " : "", c->name);
}

/* --- bash --- */

static const char bash_head[] =
    "# bash completion for unatatp(8)                            "
    "-*- shell-script -*-\n" MADE "# shellcheck shell=bash\n"
    "\n"
    "_unatatp_algorithms()\n"
    "{\n"
    "\tcat " ALGORITHMS " 2>/dev/null\n"
    "}\n"
    "\n"
    "_unatatp()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
    "\tlocal prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "\tlocal command=run verbs='' options='' word\n"
    "\n"
    "\t# bash takes the = of --config=FILE for a word of its own.\n"
    "\tif [[ $cur == '=' ]]; then\n"
    "\t\tcur=''\n"
    "\telif [[ $prev == '=' ]]; then\n"
    "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "\tfi\n"
    "\tif ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then\n"
    "\t\tcommand=${COMP_WORDS[1]}\n"
    "\tfi\n"
    "\tCOMPREPLY=()\n"
    "\tcase $prev in\n";

static const char bash_tail[] =
    "\t*) return ;;\n"
    "\tesac\n"
    "\tif ((COMP_CWORD == 1)); then\n"
    "\t\tverbs=$commands\n"
    "\telse\n"
    "\t\tfor word in \"${COMP_WORDS[@]:2:COMP_CWORD - 2}\"; do\n"
    "\t\t\t[[ \" $verbs \" != *\" $word \"* ]] || verbs=''\n"
    "\t\tdone\n"
    "\tfi\n"
    "\t[[ $verbs && $cur != -* ]] || verbs=$options\n"
    "\tmapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$cur\")\n"
    "}\n"
    "\n"
    "complete -F _unatatp unatatp\n";

/* The values of KIND, when the word before is an option that has some. */
static void
bash_values(enum args_value value)
{
	const char *separator = "\t";
	const struct args_kind *kind = &args_kinds[value];

	for (size_t i = 0; i < args_count; i++) {
		const struct args_row *row = &args_rows[i];

		if (row->value != value)
			continue;
		if (row->letter)
			printf("%s-%c", separator, row->letter);
		separator = row->letter ? " | " : separator;
		if (row->name)
			printf("%s-%s | --%s", separator, row->name, row->name);
		separator = " | ";
	}
	if (*separator == '\t')
		return;
	puts(")");
	if (value == ARGS_FILE)
		puts("\t\tcompopt -o filenames 2>/dev/null\n"
		     "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")");
	if (value == ARGS_ALGORITHM || kind->words) {
		printf("\t\tmapfile -t COMPREPLY < <(compgen -W \"");
		print_words(kind->words);
		printf("%s\" -- \"$cur\")\n",
		    kind->words ? "" : "$(_unatatp_algorithms)");
	}
	puts("\t\treturn\n\t\t;;");
}

static void
bash_command(const struct command *c)
{
	const char *separator = "";

	printf("\t%s)\n\t\tverbs='", c->name);
	print_words(c->verbs);
	printf("'\n\t\toptions='");
	for (size_t i = 0; i < args_count; i++) {
		const struct args_row *row = &args_rows[i];

		if (!is_shown(c, row))
			continue;
		if (row->letter)
			printf("%s-%c", separator, row->letter);
		separator = row->letter ? " " : separator;
		if (row->name)
			printf("%s--%s", separator, row->name);
		separator = " ";
	}
	puts("'\n\t\t;;");
}

static void
print_bash(void)
{
	fputs(bash_head, stdout);
	for (size_t value = ARGS_NOTHING + 1; value < args_kind_count; value++)
		bash_values((enum args_value)value);
	printf("\tesac\n\tlocal commands='");
	print_commands();
	puts("'\n\tcase $command in");
	for (const struct command *c = commands; c->name; c++)
		bash_command(c);
	fputs(bash_tail, stdout);
}

/* --- zsh --- */

static const char zsh_head[] =
    "#compdef unatatp\n"
    "# zsh completion for unatatp(8)\n" MADE "\n"
    "_unatatp_algorithms() {\n"
    "\tlocal -a algorithms\n"
    "\talgorithms=(${=\"$(cat " ALGORITHMS " 2>/dev/null)\"})\n"
    "\tcompadd -a algorithms\n"
    "}\n"
    "\n"
    "_unatatp() {\n"
    "\tlocal -a commands options\n"
    "\tlocal command=run first\n"
    "\n"
    "\tcommands=(\n";

static const char zsh_middle[] =
    "\t)\n"
    "\tfirst='1:command:{ _describe command commands }'\n"
    "\tif (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then\n"
    "\t\tcommand=$words[2] first=''\n"
    "\t\tshift words\n"
    "\t\t(( CURRENT-- ))\n"
    "\telif (( CURRENT > 2 )); then\n"
    "\t\tfirst=''\n"
    "\tfi\n"
    "\tcase $command in\n";

static const char zsh_tail[] = "\t*) return 1 ;;\n"
			       "\tesac\n"
			       "\t_arguments -s -S $options $first\n"
			       "}\n"
			       "\n"
			       "_unatatp \"$@\"\n";

static void
zsh_value(const struct args_row *row)
{
	const struct args_kind *kind = &args_kinds[row->value];

	if (!row->value)
		return;
	printf(":%s:", kind->name ? kind->name : row->name);
	if (kind->words) {
		putchar('(');
		print_words(kind->words);
		putchar(')');
	} else {
		fputs(row->value == ARGS_FILE	       ? "_files"
			: row->value == ARGS_ALGORITHM ? "_unatatp_algorithms"
						       : " ",
		    stdout);
	}
}

static void
zsh_option(const struct args_row *row)
{
	printf("\t\t\t");
	if (!row->option) /* help, version: alone */
		printf("'(- *)'");
	else if (row->option == ARGS_VERBOSE)
		printf("'*'");
	else if (row->letter && row->name)
		printf("'(-%c --%s)'", row->letter, row->name);
	if (row->letter && row->name)
		printf("{-%c%s,--%s%s}", row->letter, row->value ? "+" : "",
		    row->name, row->value ? "=" : "");
	else if (row->letter)
		printf("-%c%s", row->letter, row->value ? "+" : "");
	else
		printf("--%s%s", row->name, row->value ? "=" : "");
	printf("'[");
	print_quoted(row->help, "[]\\");
	putchar(']');
	zsh_value(row);
	puts("'");
}

static void
print_zsh(void)
{
	fputs(zsh_head, stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		print_quoted(c->help, "\\:");
		puts("'");
	}
	fputs(zsh_middle, stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("\t%s)\n\t\toptions=(\n", c->name);
		for (size_t i = 0; i < args_count; i++)
			if (is_shown(c, &args_rows[i]))
				zsh_option(&args_rows[i]);
		if (c->verbs) {
			printf("\t\t\t'1:verb:(");
			print_words(c->verbs);
			puts(")'");
		}
		puts("\t\t)\n\t\t;;");
	}
	fputs(zsh_tail, stdout);
}

/* --- fish --- */

static const char fish_head[] =
    "# fish completion for unatatp(8)\n" MADE "\n"
    "# Whether the command of the line is one of these.\n"
    "function __unatatp_is\n"
    "\tset -l words (commandline -opc) run\n"
    "\tstring match -q -- '-*' $words[2]; and set words[2] run\n"
    "\tcontains -- $words[2] $argv\n"
    "end\n"
    "\n"
    "function __unatatp_algorithms\n"
    "\tcat " ALGORITHMS " 2>/dev/null | string split ' '\n"
    "end\n"
    "\n"
    "complete -c unatatp -f\n";

/* The commands that take the option of ROW; all of them go unsaid. */
static void
fish_condition(const struct args_row *row)
{
	if (!row->option)
		return;
	printf(" -n '__unatatp_is");
	for (const struct command *c = commands; c->name; c++)
		if (args_accepts(c, row))
			printf(" %s", c->name);
	putchar('\'');
}

static void
fish_option(const struct args_row *row)
{
	const struct args_kind *kind = &args_kinds[row->value];

	printf("complete -c unatatp");
	fish_condition(row);
	if (row->letter)
		printf(" -s %c", row->letter);
	if (row->name)
		printf(" -l %s", row->name);
	if (row->value)
		printf(row->value == ARGS_FILE ? " -r -F" : " -x");
	if (kind->words) {
		printf(" -a '");
		print_words(kind->words);
		putchar('\'');
	} else if (row->value == ARGS_ALGORITHM) {
		printf(" -a '(__unatatp_algorithms)'");
	}
	printf(" -d '");
	print_escaped(row->help, "'\\");
	puts("'");
}

static void
print_fish(void)
{
	fputs(fish_head, stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("complete -c unatatp -n "
		       "'test (count (commandline -opc)) -eq 1' -a %s -d '",
		    c->name);
		print_escaped(c->help, "'\\");
		puts("'");
	}
	for (const struct command *c = commands; c->name; c++) {
		if (!c->verbs)
			continue;
		printf("complete -c unatatp -n '__unatatp_is %s; "
		       "and not __fish_seen_subcommand_from ",
		    c->name);
		print_words(c->verbs);
		printf("' -a '");
		print_words(c->verbs);
		puts("'");
	}
	for (size_t i = 0; i < args_count; i++)
		if (args_rows[i].help)
			fish_option(&args_rows[i]);
}

static const struct {
	const char *name;
	void (*print)(void);
} shells[] = {
	{ "bash", print_bash },
	{ "zsh", print_zsh },
	{ "fish", print_fish },
};

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (argc == 2 && !strcmp(argv[1], shells[i].name)) {
			shells[i].print();
			return 0;
		}
	fputs("usage: completions bash|zsh|fish\n", stderr);
	return COMMAND_USAGE;
}
