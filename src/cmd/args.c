#include "cmd/args.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config.h"

enum { OPT_BIND_IPV4 = 256, OPT_BIND_IPV6, OPT_VERBOSE, OPT_PRINT };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "port", required_argument, NULL, 'p' },
	{ "congestion", required_argument, NULL, 'C' },
	{ "daemon", no_argument, NULL, 'd' },
	{ "bind_ipv4", required_argument, NULL, OPT_BIND_IPV4 },
	{ "bind_ipv6_prefix", required_argument, NULL, OPT_BIND_IPV6 },
	{ "verbose", required_argument, NULL, OPT_VERBOSE },
	{ "print", no_argument, NULL, OPT_PRINT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

static const char help[] =
    "unatatp - a transparent TCP proxy for Linux gateways\n"
    "\n"
    "usage: unatatp [run] [-c FILE] [-p PORT] [-C ALGO] [-d] [-v]...\n"
    "       unatatp check [-c FILE] [--print]\n"
    "       unatatp --version | --help\n"
    "\n"
    "  -c FILE       configuration (" CONF_DEFAULT_PATH ", else built in)\n"
    "  -p PORT       listen on PORT in place of the file's ports\n"
    "  -C ALGO       congestion control of both legs of every policy\n"
    "  -d            go to the background and log to syslog\n"
    "  -v            say more; again for more still\n"
    "  -t            same as check\n"
    "  -bind_ipv4 ADDRESS, -bind_ipv6_prefix PREFIX\n"
    "                where the default policy's connections come from\n"
    "\n"
    "Signals: HUP reloads, USR1 logs counters, TERM and INT drain and end.\n"
    "Manuals: unatatp(8), unatatp.conf(5)\n";

static int
mistake(const char *what, const char *value)
{
	fprintf(
	    stderr, "unatatp: %s \"%s\" (try unatatp --help)\n", what, value);
	return CMD_USAGE;
}

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
is_ipv4(const char *text)
{
	struct addr a;

	return !addr_parse(&a, text, 0) && a.sa.sa_family == AF_INET;
}

static bool
is_ipv6_prefix(const char *text)
{
	struct prefix p;

	return prefix_parse(&p, text) == PREFIX_OK && p.family == AF_INET6;
}

static int
take(struct args *args, int option, char *value)
{
	struct conf_override *over = &args->over;

	switch (option) {
	case 'c':
		args->path = value;
		break;
	case 'p':
		if (number(value, 1, 65535) < 0)
			return mistake("bad port", value);
		over->port = (uint16_t)number(value, 1, 65535);
		break;
	case 'C':
		over->congestion = value;
		break;
	case 'd':
		args->background = true;
		break;
	case 'v':
		over->verbose++;
		break;
	case 't':
		args->check = true;
		break;
	case OPT_BIND_IPV4:
		if (!is_ipv4(value))
			return mistake("bad IPv4 address", value);
		over->bind_ipv4 = value;
		break;
	case OPT_BIND_IPV6:
		if (!is_ipv6_prefix(value))
			return mistake("bad IPv6 prefix", value);
		over->bind_ipv6_prefix = value;
		break;
	case OPT_VERBOSE:
		if (number(value, 0, 9) < 0)
			return mistake("bad level", value);
		over->verbose = (int)number(value, 0, 9);
		break;
	case OPT_PRINT:
		args->print = true;
		break;
	case 'h':
		fputs(help, stdout);
		return CMD_GOOD;
	case 'V':
		puts(PACKAGE_STRING);
		return CMD_GOOD;
	default: /* getopt has said what is wrong */
		return CMD_USAGE;
	}
	return -1;
}

int
args_read(struct args *args, int argc, char **argv)
{
	int option;

	*args = (struct args){ 0 };
	optind = 1;
	/* "_only" also takes the single dash of the first unatatp. */
	while ((option = getopt_long_only(
		    argc, argv, "c:p:C:dvthV", options, NULL)) != -1) {
		int status = take(args, option, optarg);

		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return mistake("unexpected argument", argv[optind]);
	args->path = conf_default_path(args->path);
	return -1;
}
