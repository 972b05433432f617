#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen.h"

static const struct {
	const char *name;
	int (*run)(const struct options *opt);
} modes[] = {
	{ "server", mode_server },
	{ "bulk", mode_bulk },
	{ "request", mode_request },
	{ "connect", mode_connect },
	{ "hold", mode_hold },
};

static const struct option longs[] = {
	{ "address", required_argument, NULL, 'a' },
	{ "port", required_argument, NULL, 'p' },
	{ "ports", required_argument, NULL, 'n' },
	{ "flows", required_argument, NULL, 'f' },
	{ "active", required_argument, NULL, 'c' },
	{ "up", required_argument, NULL, 'u' },
	{ "down", required_argument, NULL, 'd' },
	{ "warmup", required_argument, NULL, 'w' },
	{ "time", required_argument, NULL, 't' },
	{ "lane", required_argument, NULL, 'l' },
	{ "client-closes", no_argument, NULL, 'C' },
	{ NULL, 0, NULL, 0 },
};

__attribute__((noreturn)) static void
usage(void)
{
	fputs("usage: loadgen server|bulk|request|connect|hold "
	      "[--address A] [--port P] [--ports N]\n"
	      "  [--flows N] [--active N] [--up BYTES] [--down BYTES]\n"
	      "  [--warmup MS] [--time MS] [--lane up|down] "
	      "[--client-closes]\n",
	    stderr);
	exit(64);
}

static uint64_t
number(const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || end == text)
		usage();
	return n;
}

static void
set(struct options *opt, int key, const char *arg)
{
	switch (key) {
	case 'a':
		if (inet_pton(AF_INET, arg, &opt->to.sin_addr) != 1)
			usage();
		break;
	case 'p':
		opt->to.sin_port = htons((uint16_t)number(arg));
		break;
	case 'n':
		opt->ports = (unsigned)number(arg);
		break;
	case 'f':
		opt->flows = (unsigned)number(arg);
		break;
	case 'c':
		opt->active = (unsigned)number(arg);
		break;
	case 'u':
		opt->up = number(arg);
		break;
	case 'd':
		opt->down = number(arg);
		break;
	case 'w':
		opt->warmup_ms = (unsigned)number(arg);
		break;
	case 't':
		opt->time_ms = (unsigned)number(arg);
		break;
	case 'l':
		opt->lane_up = strcmp(arg, "up") == 0;
		break;
	case 'C':
		opt->client_closes = true;
		break;
	default:
		usage();
	}
}

int
main(int argc, char **argv)
{
	struct options opt = {
		.to = { .sin_family = AF_INET, .sin_port = htons(7000) },
		.ports = 1,
		.flows = 1,
		.active = 1,
		.up = 128,
		.down = 1024,
		.warmup_ms = 500,
		.time_ms = 2000,
	};
	int key;

	while ((key = getopt_long(argc, argv, "", longs, NULL)) != -1)
		set(&opt, key, optarg);
	if (optind + 1 != argc || !opt.ports || !opt.flows)
		usage();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[optind], modes[i].name) == 0)
			return modes[i].run(&opt);
	}
	usage();
}
