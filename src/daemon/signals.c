#include "daemon/signals.h"

#include <event2/event.h>
#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/state.h"

/* libevent calls once for each signal of a burst; reload once for all. */
static void
on_hup(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	event_active(d->reload, EV_TIMEOUT, 0);
}

static void
close_all_flows(struct daemon *d, enum ending ending)
{
	for (size_t i = 0; i < d->shared.n_workers; i++)
		worker_close_flows(d->workers[i], ending);
}

static void
on_drain_over(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	log_notice("drain: time is up, the rest is reset");
	close_all_flows(d, ENDING_DRAIN);
}

void
signals_drain(struct daemon *d)
{
	struct timeval tv = clock_timeval(d->conf->timeouts.drain);

	d->draining = true;
	log_notice("draining: no new flows, %lld live, %lld ms at most",
	    (long long)d->live_total, (long long)d->conf->timeouts.drain);
	for (size_t i = 0; i < d->shared.n_workers; i++)
		worker_drain(d->workers[i]);
	event_add(d->drain_timer, &tv);
}

static void
on_term(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (!d->draining) {
		signals_drain(d);
		return;
	}
	log_notice("told twice to end: every flow is reset");
	close_all_flows(d, ENDING_SHUTDOWN);
}

void
signals_sum_stats(const struct daemon *d, struct stats *sum)
{
	for (size_t i = 0; i < d->shared.n_workers; i++)
		stats_sum(sum, worker_stats(d->workers[i]));
}

void
signals_log_stats(const struct daemon *d)
{
	struct stats sum = { 0 };

	signals_sum_stats(d, &sum);
	stats_log(&sum);
}

static void
on_usr1(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	signals_log_stats(arg);
}

void
signals_on_drained(void *owner, void *arg)
{
	struct daemon *d = owner;

	(void)arg;
	if (++d->n_drained == d->shared.n_workers)
		event_base_loopbreak(d->base);
}

bool
signals_prepare(struct daemon *d)
{
	static const struct {
		int number;
		event_callback_fn fn;
	} rows[SIGNALS] = {
		[ON_HUP] = { SIGHUP, on_hup },
		[ON_TERM] = { SIGTERM, on_term },
		[ON_INT] = { SIGINT, on_term },
		[ON_USR1] = { SIGUSR1, on_usr1 },
	};

	for (int i = 0; i < SIGNALS; i++) {
		d->signals[i] =
		    evsignal_new(d->base, rows[i].number, rows[i].fn, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL))
			return false;
	}
	d->drain_timer = evtimer_new(d->base, on_drain_over, d);
	return d->drain_timer;
}

void
signals_clear(struct daemon *d)
{
	for (int i = 0; i < SIGNALS; i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->drain_timer)
		event_free(d->drain_timer);
}
