#include "daemon/needs.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/privs.h"

#define ALLOWED "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

/* What anyone may choose, with a blank at both ends; "": it is unknown. */
static void
read_allowed(char *names, size_t size)
{
	FILE *in = fopen(ALLOWED, "re");

	*names = '\0';
	if (!in)
		return;
	if (fgets(names + 1, (int)size - 2, in)) {
		*names = ' ';
		names[strcspn(names, "\n")] = ' ';
	}
	fclose(in);
}

static bool
is_restricted(const char *name, const char *allowed)
{
	char word[SOCK_CONGESTION_MAX + 2];

	snprintf(word, sizeof(word), " %s ", name);
	return *name && !strstr(allowed, word);
}

/* The one that the leg has, or all that "auto" may choose. */
static bool
leg_has_restricted(const struct sock_options *leg, const char *allowed)
{
	for (size_t i = 0; i < leg->n_congestion_among; i++)
		if (is_restricted(leg->congestion_among[i], allowed))
			return true;
	return !leg->n_congestion_among &&
	    is_restricted(leg->congestion, allowed);
}

static bool
has_restricted(const struct policy *p, const char *allowed)
{
	return leg_has_restricted(&p->client, allowed) ||
	    leg_has_restricted(&p->server, allowed);
}

/* Receive buffers beyond net.core.rmem_max. */
static bool
has_latency(const struct policy *p, const char *allowed)
{
	(void)allowed;
	return p->latency;
}

/* The algorithm is set anew then, and a route may have chosen it. */
static bool
has_window(const struct policy *p, const char *allowed)
{
	(void)allowed;
	return p->client.initial_window || p->server.initial_window;
}

static bool
has_mark(const struct policy *p, const char *allowed)
{
	(void)allowed;
	return p->mark;
}

static bool
has_interface(const struct policy *p, const char *allowed)
{
	(void)allowed;
	return *p->interface;
}

static bool
has_address(const struct policy *p, const char *allowed)
{
	(void)allowed;
	return p->source.client == CONF_CLIENT_ADDRESS;
}

static bool
has_port(const struct policy *p, const char *allowed)
{
	(void)allowed;
	return p->source.client == CONF_CLIENT_PORT;
}

static const struct row {
	bool (*wanted)(const struct policy *p, const char *allowed);
	const char *option;
	const char *capability;
	uint64_t set;
} rows[] = {
	{ has_mark, "mark", "CAP_NET_ADMIN", PRIVS_CAP(CAP_NET_ADMIN) },
	/* Since Linux 5.7 it would do without. */
	{ has_interface, "interface", "CAP_NET_RAW", PRIVS_CAP(CAP_NET_RAW) },
	{ has_address, "source = \"clientip\"", "CAP_NET_RAW",
	    PRIVS_CAP(CAP_NET_RAW) },
	/* A port that is taken, and one below 1024. */
	{ has_port, "source = \"client\"",
	    "CAP_NET_ADMIN and CAP_NET_BIND_SERVICE",
	    PRIVS_CAP(CAP_NET_ADMIN) | PRIVS_CAP(CAP_NET_BIND_SERVICE) },
	{ has_restricted,
	    "a congestion that is not in tcp_allowed_congestion_control",
	    "CAP_NET_ADMIN", PRIVS_CAP(CAP_NET_ADMIN) },
	{ has_latency, "latency", "CAP_NET_ADMIN", PRIVS_CAP(CAP_NET_ADMIN) },
	{ has_window, "initial_window", "CAP_NET_ADMIN",
	    PRIVS_CAP(CAP_NET_ADMIN) },
};

/* The policies of CONF, the built-in one at their end. */
static const struct policy *
policy_at(const struct conf *conf, size_t i)
{
	return i < conf->n_policies ? &conf->policies[i] : &conf->fallback;
}

uint64_t
needs_find(const struct conf *conf)
{
	char allowed[1024];
	uint64_t set = 0;

	read_allowed(allowed, sizeof(allowed));
	for (size_t i = 0; i <= conf->n_policies; i++)
		for (size_t j = 0; j < sizeof(rows) / sizeof(*rows); j++)
			if (rows[j].wanted(policy_at(conf, i), allowed))
				set |= rows[j].set;
	return set;
}

bool
needs_met(const struct conf *conf, char why[NEEDS_WHY_MAX])
{
	char allowed[1024];

	read_allowed(allowed, sizeof(allowed));
	for (size_t i = 0; i <= conf->n_policies; i++)
		for (size_t j = 0; j < sizeof(rows) / sizeof(*rows); j++) {
			const struct policy *p = policy_at(conf, i);
			const struct row *row = &rows[j];

			if (!privs_given_up(row->set) ||
			    !row->wanted(p, allowed))
				continue;
			snprintf(why, NEEDS_WHY_MAX,
			    "policy \"%s\": %s takes %s, which was given up "
			    "at the start because nothing took it (restart "
			    "unatatp)",
			    p->name, row->option, row->capability);
			return false;
		}
	return true;
}
