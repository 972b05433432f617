/*
 * How long policy_find takes, against the number of prefixes: for each size
 * a configuration is written, loaded by conf_read, and searched for random
 * sources of which about half lie in some prefix. A line of JSON a size.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/policy.h"

#define PER_POLICY 100
#define ASKED 4096
#define ROUNDS 7
#define ROUND_NS 30000000.0

static uint64_t state = 88172645463325252u;

static uint32_t
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Every second one of the /28s that fill 16.0.0.0/4 from its start. */
static uint32_t
base_of(unsigned k)
{
	return 0x10000000u + k * 32u;
}

static void
write_conf(FILE *f, unsigned prefixes)
{
	fputs("policies = (", f);
	for (unsigned k = 0; k < prefixes; k++) {
		uint32_t a = base_of(k);

		if (k % PER_POLICY == 0)
			fprintf(f, "%s\n{ name = \"p%u\"; sources = [",
			    k ? "]; }," : "", k / PER_POLICY);
		fprintf(f, "%s \"%u.%u.%u.%u/28\"", k % PER_POLICY ? "," : "",
		    a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	}
	fputs("]; } );\n", f);
}

static void
emit(void *arg, enum conf_severity severity, const char *line)
{
	(void)arg;
	if (severity == CONF_ERROR)
		fprintf(stderr, "match_time: %s\n", line);
}

static struct conf *
load(unsigned prefixes, double *ms)
{
	char path[] = "/tmp/match_time.XXXXXX";
	struct conf_override over = { 0 };
	struct conf_report report = { .emit = emit };
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	struct conf *conf;

	if (!f) {
		perror("match_time: mkstemp");
		exit(1);
	}
	write_conf(f, prefixes);
	fclose(f);
	*ms = now_ns();
	conf = conf_read(path, &over, &report);
	*ms = (now_ns() - *ms) / 1e6;
	unlink(path);
	if (!conf)
		exit(1);
	return conf;
}

static void
choose(struct addr *asked, unsigned prefixes)
{
	for (unsigned i = 0; i < ASKED; i++) {
		uint32_t a =
		    base_of(next_random() % prefixes) + next_random() % 32;

		if (addr_parse(&asked[i], "0.0.0.0", 40000) < 0)
			exit(1);
		asked[i].in4.sin_addr.s_addr = htonl(a);
	}
}

static double
search(const struct conf *conf, const struct addr *asked, unsigned *found)
{
	struct addr dst;
	double best = 0;

	if (addr_parse(&dst, "203.0.113.9", 443) < 0)
		exit(1);
	for (int round = 0; round < ROUNDS; round++) {
		double began = now_ns(), took;
		unsigned n = 0;

		*found = 0;
		do {
			for (unsigned i = 0; i < ASKED; i++)
				*found += policy_find(conf, &asked[i], &dst) !=
				    &conf->fallback;
			n += ASKED;
			took = now_ns() - began;
		} while (took < ROUND_NS);
		*found = (unsigned)(100.0 * *found / n);
		if (!round || took / n < best)
			best = took / n;
	}
	return best;
}

int
main(void)
{
	static struct addr asked[ASKED];

	for (unsigned prefixes = 10; prefixes <= 100000; prefixes *= 10) {
		double ms, ns;
		unsigned found;
		struct conf *conf = load(prefixes, &ms);

		choose(asked, prefixes);
		ns = search(conf, asked, &found);
		printf("{\"prefixes\": %u, \"match_ns\": %.1f, "
		       "\"load_ms\": %.1f, \"found_percent\": %u}\n",
		    prefixes, ns, ms, found);
		fflush(stdout);
		conf_unref(conf);
	}
	return 0;
}
