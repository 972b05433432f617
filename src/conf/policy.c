#include "conf/policy.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/prefix_set.h"

/* The sources of all policies, each tagged with its policy's index. */
struct policy_index {
	struct prefix_set *sources;
};

static const struct prefix everything[2] = {
	{ .family = AF_INET },
	{ .family = AF_INET6 },
};

/* The range that holds PORT, or NULL; the ranges are sorted and apart. */
static const struct conf_ports *
find_ports(const struct policy *p, uint16_t port)
{
	size_t low = 0, high = p->n_ports;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct conf_ports *range = &p->ports[middle];

		if (port < range->first)
			high = middle;
		else if (port > range->last)
			low = middle + 1;
		else
			return range;
	}
	return NULL;
}

struct search {
	const struct conf *conf;
	const struct addr *dst;
	uint16_t port;
	uint32_t best; /* the first match so far; n_policies: none */
};

static bool
matches_destination(const struct search *s, const struct policy *p)
{
	if (p->n_ports && !find_ports(p, s->port))
		return false;
	return !p->destination_set ||
	    prefix_set_contains(p->destination_set, s->dst);
}

static bool
on_source(void *arg, uint32_t tag)
{
	struct search *s = arg;

	if (tag < s->best && matches_destination(s, &s->conf->policies[tag]))
		s->best = tag;
	return !s->best;
}

const struct policy *
policy_find(
    const struct conf *conf, const struct addr *src, const struct addr *dst)
{
	struct search s = {
		.conf = conf,
		.dst = dst,
		.port = addr_port(dst),
		.best = (uint32_t)conf->n_policies,
	};

	prefix_set_visit(conf->index->sources, src, on_source, &s);
	if (s.best < conf->n_policies)
		return &conf->policies[s.best];
	return &conf->fallback;
}

static int
build_destinations(struct policy *p)
{
	struct prefix_tag *items;

	if (!p->n_destinations)
		return 0;
	items = calloc(p->n_destinations, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_destinations; i++)
		items[i].prefix = p->destinations[i];
	p->destination_set = prefix_set_new(items, p->n_destinations);
	free(items);
	return p->destination_set ? 0 : -ENOMEM;
}

static size_t
put_sources(const struct policy *p, struct prefix_tag *items)
{
	const struct prefix *from = p->n_sources ? p->sources : everything;
	size_t n = p->n_sources ? p->n_sources : 2;

	for (size_t i = 0; i < n; i++)
		items[i] = (struct prefix_tag){ from[i], p->index };
	return n;
}

static int
build_sources(struct conf *conf)
{
	struct prefix_tag *items;
	size_t n = 0;

	for (size_t i = 0; i < conf->n_policies; i++)
		n += conf->policies[i].n_sources + 2;
	items = calloc(n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < conf->n_policies; i++)
		n += put_sources(&conf->policies[i], items + n);
	conf->index->sources = prefix_set_new(items, n);
	free(items);
	return conf->index->sources ? 0 : -ENOMEM;
}

int
policy_index_build(struct conf *conf)
{
	int err = 0;

	conf->index = calloc(1, sizeof(*conf->index));
	if (!conf->index)
		return -ENOMEM;
	for (size_t i = 0; !err && i < conf->n_policies; i++)
		err = build_destinations(&conf->policies[i]);
	return err ? err : build_sources(conf);
}

void
policy_index_free(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		prefix_set_free(conf->policies[i].destination_set);
	if (conf->index)
		prefix_set_free(conf->index->sources);
	free(conf->index);
}

/* True when A leaves out no port of B. */
static bool
covers_ports(const struct policy *a, const struct policy *b)
{
	if (!a->n_ports)
		return true;
	if (!b->n_ports)
		return a->ports[0].first <= 1 && a->ports[0].last == 65535;
	for (size_t i = 0; i < b->n_ports; i++) {
		const struct conf_ports *range =
		    find_ports(a, b->ports[i].first);

		if (!range || range->last < b->ports[i].last)
			return false;
	}
	return true;
}

/* True when A leaves out no destination of FAMILY that B has. */
static bool
covers_destinations(
    const struct policy *a, const struct policy *b, sa_family_t family)
{
	if (!a->n_destinations)
		return true;
	if (!b->n_destinations)
		return prefix_set_covers(a->destination_set,
		    &everything[family == AF_INET6], NULL, NULL);
	for (size_t i = 0; i < b->n_destinations; i++)
		if (b->destinations[i].family == family &&
		    !prefix_set_covers(
			a->destination_set, &b->destinations[i], NULL, NULL))
			return false;
	return true;
}

struct shadow {
	const struct conf *conf;
	const struct policy *policy;
	sa_family_t family;
};

/* True when policy TAG stands before and takes all that it sees. */
static bool
is_before(void *arg, uint32_t tag)
{
	const struct shadow *s = arg;
	const struct policy *other = &s->conf->policies[tag];

	return tag < s->policy->index && covers_ports(other, s->policy) &&
	    covers_destinations(other, s->policy, s->family);
}

static bool
is_shadowed(struct shadow *s)
{
	const struct policy *p = s->policy;
	const struct prefix_set *sources = s->conf->index->sources;

	if (!p->n_sources)
		return prefix_set_covers(
		    sources, &everything[s->family == AF_INET6], is_before, s);
	for (size_t i = 0; i < p->n_sources; i++)
		if (p->sources[i].family == s->family &&
		    !prefix_set_covers(sources, &p->sources[i], is_before, s))
			return false;
	return true;
}

static bool
has_family(const struct prefix *list, size_t n, sa_family_t family)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].family == family)
			return true;
	return !n;
}

const char *
policy_unreachable(const struct conf *conf, const struct policy *p)
{
	bool possible = false;

	for (size_t i = 0; i < 2; i++) {
		struct shadow s = { conf, p, everything[i].family };

		if (!has_family(p->sources, p->n_sources, s.family) ||
		    !has_family(p->destinations, p->n_destinations, s.family))
			continue;
		possible = true;
		if (!is_shadowed(&s))
			return NULL;
	}
	return possible
	    ? "those before it take all its flows"
	    : "its sources and destinations have no address family in common";
}

bool
policy_is_universal(const struct policy *p)
{
	return !p->n_sources && !p->n_destinations && !p->n_ports;
}
