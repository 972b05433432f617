#include "cmd/args.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/help.h"
#include "config.h"

/* What getopt says for a row that has no letter: this plus its place. */
#define LONG_ONLY 256

/* A whole number from LOW to HIGH; -1 when TEXT is none. */
static long
number(const char *text, long low, long high)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return *text && !*end && !errno && n >= low && n <= high ? n : -1;
}

static bool
take_config(struct args *args, char *value)
{
	args->path = value;
	return true;
}

static bool
take_port(struct args *args, char *value)
{
	long port = number(value, 1, 65535);

	args->over.port = (uint16_t)port;
	return port > 0;
}

static bool
take_congestion(struct args *args, char *value)
{
	args->over.congestion = value;
	return true;
}

static bool
take_background(struct args *args, char *value)
{
	(void)value;
	args->background = true;
	return true;
}

static bool
take_v(struct args *args, char *value)
{
	(void)value;
	args->over.verbose++;
	return true;
}

static bool
take_verbose(struct args *args, char *value)
{
	args->over.verbose = (int)number(value, 0, 9);
	return args->over.verbose >= 0;
}

static bool
take_check(struct args *args, char *value)
{
	(void)value;
	args->check = true;
	return true;
}

static bool
take_print(struct args *args, char *value)
{
	(void)value;
	args->print = true;
	return true;
}

static bool
take_socket(struct args *args, char *value)
{
	args->socket = value;
	return true;
}

static bool
take_json(struct args *args, char *value)
{
	(void)value;
	args->json = true;
	return true;
}

static bool
take_bind_ipv4(struct args *args, char *value)
{
	struct addr a;

	args->over.bind_ipv4 = value;
	return !addr_parse(&a, value, 0) && a.sa.sa_family == AF_INET;
}

static bool
take_bind_ipv6(struct args *args, char *value)
{
	struct prefix p;

	args->over.bind_ipv6_prefix = value;
	return prefix_parse(&p, value) == PREFIX_OK && p.family == AF_INET6;
}

/* The daemon looks at VALUE; here it is one word, and given once. */
static bool
wish(struct args *args, const char *key, const char *value)
{
	if (!*value || strpbrk(value, " \t\r\n") ||
	    args->n_wishes == ARGS_WISHES)
		return false;
	for (size_t i = 0; i < args->n_wishes; i++)
		if (!strcmp(args->wishes[i].key, key))
			return false;
	args->wishes[args->n_wishes].key = key;
	args->wishes[args->n_wishes++].value = value;
	return true;
}

static bool
take_policy(struct args *args, char *value)
{
	return wish(args, "policy", value);
}

static bool
take_src(struct args *args, char *value)
{
	return wish(args, "src", value);
}

static bool
take_dst(struct args *args, char *value)
{
	return wish(args, "dst", value);
}

static bool
take_sort(struct args *args, char *value)
{
	return wish(args, "sort", value);
}

static bool
take_limit(struct args *args, char *value)
{
	return wish(args, "limit", value);
}

/* "A,B" */
static bool
take_compare(struct args *args, char *value)
{
	const char *comma = strchr(value, ',');

	args->compare = true;
	return comma && comma > value && comma[1] && !strchr(comma + 1, ',') &&
	    wish(args, "compare", value);
}

static bool
take_help(struct args *args, char *value)
{
	(void)args;
	(void)value;
	help_print();
	exit(COMMAND_GOOD);
}

static bool
take_version(struct args *args, char *value)
{
	(void)args;
	(void)value;
	puts(PACKAGE_STRING);
	exit(COMMAND_GOOD);
}

/* clang-format off */
const struct args_row args_rows[] = {
	{ ARGS_CONFIG, 'c', "config", ARGS_FILE, NULL, take_config,
	    "configuration (" CONF_DEFAULT_PATH ", else built in)" },
	{ ARGS_PORT, 'p', "port", ARGS_NUMBER, "port", take_port,
	    "listen on this port in place of the file's" },
	{ ARGS_CONGESTION, 'C', "congestion", ARGS_ALGORITHM, NULL,
	    take_congestion,
	    "congestion control of both legs of every policy" },
	{ ARGS_BACKGROUND, 'd', "daemon", ARGS_NOTHING, NULL, take_background,
	    "go to the background and log to syslog" },
	{ ARGS_VERBOSE, 'v', NULL, ARGS_NOTHING, NULL, take_v,
	    "say more; again for more still" },
	{ ARGS_CHECK, 't', NULL, ARGS_NOTHING, NULL, take_check,
	    "same as check" },
	{ ARGS_PRINT, '\0', "print", ARGS_NOTHING, NULL, take_print,
	    "print the effective configuration" },
	{ ARGS_SOCKET, 's', "socket", ARGS_FILE, NULL, take_socket,
	    "the daemon's socket, in place of the file's control.path" },
	{ ARGS_JSON, '\0', "json", ARGS_NOTHING, NULL, take_json,
	    "print JSON, one object a line" },
	{ ARGS_FILTER, '\0', "policy", ARGS_NAME, "policy", take_policy,
	    "flows of this policy only" },
	{ ARGS_FILTER, '\0', "src", ARGS_PREFIX, "prefix", take_src,
	    "flows of clients in this prefix only" },
	{ ARGS_FILTER, '\0', "dst", ARGS_PREFIX, "prefix", take_dst,
	    "flows to servers in this prefix only" },
	{ ARGS_FILTER, '\0', "sort", ARGS_NAME, "order", take_sort,
	    "the first by rate, age or retrans" },
	{ ARGS_FILTER, '\0', "limit", ARGS_NUMBER, "limit", take_limit,
	    "so many at most" },
	{ ARGS_COMPARE, '\0', "compare", ARGS_PAIR, "pair", take_compare,
	    "two policies, or algorithms, side by side" },
	{ 0, 'h', "help", ARGS_NOTHING, NULL, take_help,
	    "print this and exit" },
	{ 0, 'V', "version", ARGS_NOTHING, NULL, take_version,
	    "print the version and exit" },
	{ ARGS_BIND_IPV4, '\0', "bind_ipv4", ARGS_ADDRESS, "IPv4 address",
	    take_bind_ipv4, NULL },
	{ ARGS_BIND_IPV6, '\0', "bind_ipv6_prefix", ARGS_ADDRESS,
	    "IPv6 prefix", take_bind_ipv6, NULL },
	{ ARGS_VERBOSE, '\0', "verbose", ARGS_NUMBER, "level", take_verbose,
	    NULL },
};
/* clang-format on */
const size_t args_count = sizeof(args_rows) / sizeof(*args_rows);

#define ROWS (sizeof(args_rows) / sizeof(*args_rows))

bool
args_accepts(const struct command *command, const struct args_row *row)
{
	return !row->option || command->options & row->option;
}

/* Both forms of COMMAND's options, as getopt wants them. */
static void
fill_getopt(const struct command *command, char letters[2 * ROWS + 1],
    struct option longs[ROWS + 1])
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct args_row *row = &args_rows[i];

		if (!args_accepts(command, row))
			continue;
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->value)
			*letters++ = ':';
		if (row->name)
			*longs++ = (struct option){ row->name, !!row->value,
				NULL, LONG_ONLY + (int)i };
	}
	*letters = '\0';
	*longs = (struct option){ 0 };
}

static const struct args_row *
find_row(int option)
{
	for (size_t i = 0; i < ROWS; i++)
		if (option == LONG_ONLY + (int)i ||
		    (option == args_rows[i].letter && option))
			return &args_rows[i];
	return NULL;
}

static int
mistake(const char *what, const char *value)
{
	fprintf(
	    stderr, "unatatp: %s \"%s\" (try unatatp --help)\n", what, value);
	return COMMAND_USAGE;
}

/* What a command is about, such as a flow's number. -1 to go on. */
static int
take_operand(
    struct args *args, const struct command *command, int argc, char **argv)
{
	if (command->operand && optind == argc) {
		fprintf(stderr, "unatatp: %s which %s? (try unatatp --help)\n",
		    command->name, command->operand);
		return COMMAND_USAGE;
	}
	if (command->operand)
		args->operand = argv[optind++];
	return optind < argc ? mistake("unexpected argument", argv[optind])
			     : -1;
}

/* The verb of a command that has some. -1 to go on. */
static int
take_verb(
    struct args *args, const struct command *command, int argc, char **argv)
{
	const char *const *verb = command->verbs;

	if (verb && optind == argc) {
		fprintf(stderr, "unatatp: %s what? (one of", command->name);
		for (; *verb; verb++)
			fprintf(stderr, " %s", *verb);
		fprintf(stderr, "; try unatatp --help)\n");
		return COMMAND_USAGE;
	}
	while (verb && *verb && strcmp(*verb, argv[optind]))
		verb++;
	if (verb && *verb) {
		args->verb = *verb;
		optind++;
	}
	return take_operand(args, command, argc, argv);
}

int
args_read(
    struct args *args, const struct command *command, int argc, char **argv)
{
	char letters[2 * ROWS + 1];
	struct option longs[ROWS + 1];
	int option;

	*args = (struct args){ 0 };
	fill_getopt(command, letters, longs);
	optind = 1;
	/* "_only" also takes the single dash of the first unatatp. */
	while ((option = getopt_long_only(argc, argv, letters, longs, NULL)) !=
	    -1) {
		const struct args_row *row = find_row(option);
		char what[64];

		if (!row) /* getopt has said what is wrong */
			return COMMAND_USAGE;
		snprintf(what, sizeof(what), "bad %s",
		    row->bad ? row->bad : row->name);
		if (!row->take(args, optarg))
			return mistake(what, optarg);
	}
	args->path = conf_default_path(args->path);
	return take_verb(args, command, argc, argv);
}
