#include "daemon/sampler.h"

#include <errno.h>
#include <event2/event.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/policies.h"
#include "daemon/state.h"
#include "daemon/trim.h"

/* Of one worker in one look: so many are measured, so many seen at all. */
#define MEASURED_A_LOOK 1024
#define FLOWS_A_LOOK 500000

/* The look at one worker's flows: sent there again until it is through. */
struct look {
	struct worker_errand errand; /* first: an errand is its look */
	struct sampler *sampler;
	struct sample sample;
	struct flow_cursor cursor;
	int64_t sent_us; /* clock_us; 0: it is at home */
	int64_t wait_us, lag_us;
	bool unsent;
};

struct sampler {
	const struct daemon *daemon;
	struct event *timer;
	struct look *looks;	    /* one a worker */
	size_t n_away;		    /* of them: not yet through */
	struct sample sum;	    /* of the last complete look */
	int64_t sum_ms, started_ms; /* clock_ms */
	size_t next;		    /* place of the next point */
	struct trim trim;
	unsigned turn;
	struct sampler_series *series[1 + SAMPLE_POLICIES]; /* [0]: all */
	size_t n_series;
	bool stopped;
};

static float
quotient(uint64_t sum, uint64_t n)
{
	return n ? (float)sum / (float)n : NAN;
}

static void
make_point(struct sampler_point *point, const struct sample_policy *p,
    const struct policies_sum *sum, int64_t now)
{
	const double *rates = sum->rates[POLICIES_1S];

	*point = (struct sampler_point){
		.ms = now,
		.rates = { (float)rates[POLICIES_UP],
		    (float)rates[POLICIES_DOWN] },
	};
	for (int i = 0; i < 2; i++) {
		const struct sample_leg *leg = &p->legs[i];

		point->rtt_us[i] = quotient(leg->rtt_us, leg->measured);
		point->retrans[i] = quotient(leg->retransmits, leg->segments);
	}
}

static const struct sample_policy *
find_in(const struct sample *sample, const char *policy)
{
	for (size_t i = 0; i < sample->n_policies; i++)
		if (sample->policies[i].name == policy)
			return &sample->policies[i];
	return NULL;
}

/* No room or no memory: a chart less. */
static void
add_series(struct sampler *s, const char *policy)
{
	struct sampler_series *series = NULL;

	if (s->n_series <= SAMPLE_POLICIES)
		series = calloc(1, sizeof(*series));
	if (!series)
		return;
	series->policy = policy;
	s->series[s->n_series++] = series;
}

static void
learn_policies(struct sampler *s)
{
	const char *name;

	/* They are only ever added, at the end. */
	for (size_t i = s->n_series - 1; i < SAMPLE_POLICIES; i++) {
		name = policies_name(s->daemon->policies, i);
		if (!name)
			return;
		add_series(s, name);
	}
}

static void
keep_points(struct sampler *s)
{
	static const struct sample_policy silent;
	struct policies_sum all = { 0 };

	for (size_t i = s->n_series; i-- > 0;) {
		struct sampler_series *series = s->series[i];
		struct policies_sum sum = { 0 };
		const struct sample_policy *p = &s->sum.all;

		if (series->policy) {
			p = find_in(&s->sum, series->policy);
			policies_add(s->daemon->policies, series->policy, &sum);
			policies_add(s->daemon->policies, series->policy, &all);
		}
		make_point(&series->points[s->next], p ? p : &silent,
		    series->policy ? &sum : &all, s->sum_ms);
	}
	s->next = (s->next + 1) % SAMPLER_POINTS;
}

static void
finish_look(struct sampler *s)
{
	memset(&s->sum, 0, sizeof(s->sum));
	for (size_t i = 0; i < s->daemon->shared.n_workers; i++)
		sample_add(&s->sum, &s->looks[i].sample);
	s->sum_ms = clock_ms();
	learn_policies(s);
	keep_points(s);
}

static void
on_look(struct worker_errand *errand, struct flow_set *flows)
{
	struct look *look = (struct look *)errand;

	look->wait_us = clock_us() - look->sent_us;
	sample_take(&look->sample, flows, &look->cursor);
	if (look->sample.flows > FLOWS_A_LOOK)
		flow_look_leave(&look->cursor);
}

/* What a want of memory kept at home goes with the next timer. */
static void
send_look(struct look *look)
{
	const struct sampler *s = look->sampler;
	struct worker *worker = s->daemon->workers[look - s->looks];

	look->sent_us = clock_us();
	look->unsent = worker_send(worker, &look->errand);
}

static void
on_look_done(struct worker_errand *errand)
{
	struct look *look = (struct look *)errand;
	struct sampler *s = look->sampler;

	look->sent_us = 0;
	if (look->wait_us > look->lag_us)
		look->lag_us = look->wait_us;
	if (s->stopped)
		return;
	if (!look->cursor.done)
		send_look(look);
	else if (!--s->n_away)
		finish_look(s);
}

static void
begin_look(struct look *look)
{
	unsigned turn = look->sampler->turn;
	unsigned stride = 1 + (unsigned)(look->sample.moving / MEASURED_A_LOOK);

	memset(&look->sample, 0, sizeof(look->sample));
	look->sample.stride = stride;
	look->sample.phase = turn % stride;
	look->cursor = (struct flow_cursor){ 0 };
	look->lag_us = 0;
	send_look(look);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sampler *s = arg;
	size_t n = s->daemon->shared.n_workers;
	bool anew = !s->n_away; /* else a worker is slow: its lag tells */

	(void)fd;
	(void)what;
	trim_look(&s->trim, s->daemon);
	if (anew) {
		s->n_away = n;
		s->turn++;
	}
	for (size_t i = 0; i < n; i++)
		if (anew)
			begin_look(&s->looks[i]);
		else if (s->looks[i].unsent)
			send_look(&s->looks[i]);
}

struct sampler *
sampler_new(const struct daemon *d)
{
	struct timeval tv = clock_timeval(SAMPLER_PERIOD_MS);
	size_t n = d->shared.n_workers;
	struct sampler *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->daemon = d;
	s->started_ms = clock_ms();
	s->looks = calloc(n, sizeof(*s->looks));
	for (size_t i = 0; s->looks && i < n; i++)
		s->looks[i] = (struct look){
			.errand = { .run = on_look, .done = on_look_done },
			.sampler = s,
		};
	add_series(s, NULL);
	s->timer = event_new(d->base, -1, EV_PERSIST, on_timer, s);
	if (s->looks && s->n_series && s->timer && !event_add(s->timer, &tv))
		return s;
	sampler_free(s);
	errno = ENOMEM;
	return NULL;
}

void
sampler_stop(struct sampler *s)
{
	if (!s)
		return;
	s->stopped = true;
	event_del(s->timer);
}

void
sampler_free(struct sampler *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_series; i++)
		free(s->series[i]);
	if (s->timer)
		event_free(s->timer);
	free(s->looks);
	free(s);
}

const struct sample *
sampler_last(const struct sampler *s, int64_t *age_ms)
{
	*age_ms = clock_ms() - (s->sum_ms ? s->sum_ms : s->started_ms);
	return &s->sum;
}

const struct sampler_series *
sampler_series(const struct sampler *s, const char *policy)
{
	for (size_t i = 0; i < s->n_series; i++)
		if (s->series[i]->policy == policy)
			return s->series[i];
	return NULL;
}

const struct sampler_point *
sampler_point(
    const struct sampler *s, const struct sampler_series *series, size_t i)
{
	return &series->points[(s->next + i) % SAMPLER_POINTS];
}

int64_t
sampler_lag_us(const struct sampler *s, size_t worker)
{
	const struct look *look = &s->looks[worker];
	int64_t waiting = look->sent_us ? clock_us() - look->sent_us : 0;

	return waiting > look->lag_us ? waiting : look->lag_us;
}
