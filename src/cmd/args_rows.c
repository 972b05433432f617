/* The rows, and what each takes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/args.h"
#include "cmd/command.h"
#include "cmd/help.h"
#include "conf/value.h"

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
take_once(struct args *args, char *value)
{
	(void)value;
	args->once = true;
	return true;
}

static bool
take_confirm(struct args *args, char *value)
{
	long seconds = number(value, 1, 3600);

	args->confirm = seconds > 0 ? (unsigned)seconds : 0;
	return seconds > 0;
}

static bool
take_backend(struct args *args, char *value)
{
	if (!strcmp(value, "nft"))
		args->backend = STATE_NFT;
	else if (!strcmp(value, "iptables"))
		args->backend = STATE_IPTABLES;
	else
		return false;
	return true;
}

static bool
take_probe(struct args *args, char *value)
{
	(void)value;
	args->probe = true;
	return true;
}

/* "100M,150ms" */
static bool
take_link(struct args *args, char *value)
{
	char *rate = strdup(value), *rtt = rate ? strchr(rate, ',') : NULL;
	bool good = false;

	if (rtt) {
		*rtt++ = '\0';
		good = !value_parse(value_rates, rate, &args->link_rate) &&
		    !value_parse(value_durations, rtt, &args->link_rtt);
	}
	free(rate);
	return good;
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
	help_print_version();
	exit(COMMAND_GOOD);
}

/*
 * A kind with words of its own: { .words = (const char *const[]){ "nft",
 * "iptables", NULL } }.
 */
const struct args_kind args_kinds[] = {
	[ARGS_NOTHING] = { 0 },
	[ARGS_FILE] = { .name = "FILE" },
	[ARGS_ALGORITHM] = { .name = "ALGO" },
	[ARGS_NUMBER] = { .name = "N" },
	[ARGS_ADDRESS] = { .name = "ADDRESS" },
	[ARGS_NAME] = { .name = "NAME" },
	[ARGS_PREFIX] = { .name = "PREFIX" },
	[ARGS_PAIR] = { .name = "A,B" },
	[ARGS_LINE] = { .name = "RATE,RTT" },
	[ARGS_SECONDS] = { .name = "SECONDS" },
	[ARGS_FIREWALL] = { .words = (const char *const[]){ "nft", "iptables",
				NULL } },
	[ARGS_ORDER] = { .words = (const char *const[]){ "rate", "age",
			     "retrans", NULL } },
};
const size_t args_kind_count = sizeof(args_kinds) / sizeof(*args_kinds);

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
	{ ARGS_FILTER, '\0', "sort", ARGS_ORDER, "order", take_sort,
	    "the first of this order" },
	{ ARGS_FILTER, '\0', "limit", ARGS_NUMBER, "limit", take_limit,
	    "so many at most" },
	{ ARGS_COMPARE, '\0', "compare", ARGS_PAIR, "pair", take_compare,
	    "two policies, or algorithms, side by side" },
	{ ARGS_ONCE, '\0', "once", ARGS_NOTHING, NULL, take_once,
	    "print one frame and end" },
	{ ARGS_CONFIRM, '\0', "confirm", ARGS_SECONDS,
	    "number of seconds (1 to 3600)", take_confirm,
	    "take all back unless \"firewall confirm\" comes in time" },
	{ ARGS_BACKEND, '\0', "backend", ARGS_FIREWALL,
	    "backend (nft or iptables)", take_backend,
	    "whose rules to make (nft, where it is installed)" },
	{ ARGS_LINK, '\0', "link", ARGS_LINE,
	    "link (RATE,RTT such as 100M,150ms)", take_link,
	    "what the line to the clients carries" },
	{ ARGS_PROBE, '\0', "probe", ARGS_NOTHING, NULL, take_probe,
	    "send a connection through the rules, too" },
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
_Static_assert(sizeof(args_rows) / sizeof(*args_rows) <= ARGS_ROWS_MAX,
    "raise ARGS_ROWS_MAX");
