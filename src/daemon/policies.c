#include "daemon/policies.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <search.h>
#include <stdlib.h>

#include "base/clock.h"

#define SAMPLES 61 /* of the last minute, and the one it began with */

static const size_t spans[POLICIES_SPANS] = { 1, 10, 60 };

struct counted {
	const char *name;	      /* first: compare. Interned */
	struct policy_stats *workers; /* one each */
	uint64_t samples[SAMPLES][POLICIES_RATES];
	uint64_t n_samples; /* ever taken; the last is at n - 1 */
};

struct policies {
	size_t n_workers;
	struct counted **entries;
	size_t n_entries;
	void *tree; /* the same, by name */
	struct event *tick;
	int64_t times[SAMPLES]; /* clock_ms of each tick */
	uint64_t n_ticks;
};

static int
compare(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	return x == y ? 0 : (uintptr_t)x < (uintptr_t)y ? -1 : 1;
}

static struct counted *
find(const struct policies *p, const char *name)
{
	struct counted *const *found = tfind(&name, &p->tree, compare);

	return found ? *found : NULL;
}

static uint64_t
get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
sample(struct policies *p, struct counted *e)
{
	uint64_t *now = e->samples[e->n_samples++ % SAMPLES];

	for (int i = 0; i < POLICIES_RATES; i++)
		now[i] = 0;
	for (size_t i = 0; i < p->n_workers; i++) {
		now[POLICIES_UP] += 8 * get(&e->workers[i].bytes_up);
		now[POLICIES_DOWN] += 8 * get(&e->workers[i].bytes_down);
		now[POLICIES_FLOWS] += get(&e->workers[i].flows_opened);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct policies *p = arg;

	(void)fd;
	(void)what;
	p->times[p->n_ticks++ % SAMPLES] = clock_ms();
	for (size_t i = 0; i < p->n_entries; i++)
		sample(p, p->entries[i]);
}

struct policies *
policies_new(size_t n_workers, struct event_base *base)
{
	const struct timeval second = { 1, 0 };
	struct policies *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->n_workers = n_workers;
	p->times[0] = clock_ms();
	p->n_ticks = 1;
	p->tick = event_new(base, -1, EV_PERSIST, on_tick, p);
	if (p->tick && !event_add(p->tick, &second))
		return p;
	policies_free(p);
	return NULL;
}

static void
entry_free(struct counted *e)
{
	free(e->workers);
	free(e);
}

void
policies_free(struct policies *p)
{
	if (!p)
		return;
	if (p->tick)
		event_free(p->tick);
	for (size_t i = 0; i < p->n_entries; i++) {
		tdelete(p->entries[i], &p->tree, compare);
		entry_free(p->entries[i]);
	}
	free(p->entries);
	free(p);
}

static int
learn(struct policies *p, const char *name)
{
	struct counted **entries, *e;

	if (find(p, name))
		return 0;
	entries = realloc(p->entries, (p->n_entries + 1) * sizeof(*p->entries));
	if (!entries)
		return -ENOMEM;
	p->entries = entries;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->name = name;
	e->n_samples = 1; /* nothing, at the last tick */
	e->workers = calloc(p->n_workers, sizeof(*e->workers));
	if (!e->workers || !tsearch(e, &p->tree, compare)) {
		entry_free(e);
		return -ENOMEM;
	}
	p->entries[p->n_entries++] = e;
	return 0;
}

int
policies_learn(struct policies *p, const struct conf *conf)
{
	int err = learn(p, conf->fallback.name);

	for (size_t i = 0; !err && i < conf->n_policies; i++)
		err = learn(p, conf->policies[i].name);
	return err;
}

/* What WORKER counts for the policy of this NAME, which was learned. */
static struct policy_stats *
stats_of(const struct policies *p, const char *name, size_t worker)
{
	const struct counted *e = find(p, name);

	assert(e);
	return &e->workers[worker];
}

struct policy_stats **
policies_of_worker(
    const struct policies *p, const struct conf *conf, size_t worker)
{
	struct policy_stats **list =
	    malloc((conf->n_policies + 1) * sizeof(*list));

	if (!list)
		return NULL;
	for (size_t i = 0; i < conf->n_policies; i++)
		list[i] = stats_of(p, conf->policies[i].name, worker);
	list[conf->n_policies] = stats_of(p, conf->fallback.name, worker);
	return list;
}

/* Over SPAN seconds, or as many as there are. */
static void
add_rates(const struct policies *p, const struct counted *e, size_t span,
    double rates[POLICIES_RATES])
{
	uint64_t last = e->n_samples - 1, tick = p->n_ticks - 1;
	int64_t ms;

	if (span > last)
		span = last;
	ms = p->times[tick % SAMPLES] - p->times[(tick - span) % SAMPLES];
	for (int i = 0; i < POLICIES_RATES && ms > 0; i++)
		rates[i] += 1000.0 *
		    (double)(e->samples[last % SAMPLES][i] -
			e->samples[(last - span) % SAMPLES][i]) /
		    (double)ms;
}

void
policies_add(
    const struct policies *p, const char *name, struct policies_sum *sum)
{
	const struct counted *e = find(p, name);

	if (!e)
		return;
	for (size_t i = 0; i < p->n_workers; i++)
		policy_stats_sum(&sum->stats, &e->workers[i]);
	for (size_t i = 0; i < POLICIES_SPANS; i++)
		add_rates(p, e, spans[i], sum->rates[i]);
}

const char *
policies_name(const struct policies *p, size_t i)
{
	return i < p->n_entries ? p->entries[i]->name : NULL;
}
