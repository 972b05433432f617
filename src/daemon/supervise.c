#include "daemon/supervise.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/stats.h"

#define STATUS_MS 5000

/* Beyond the drain, for what is reset at its end. */
#define STOP_SPARE_MS 10000

static void
write_status(const struct supervise *s, char *text, size_t size)
{
	struct stats sum = { 0 };
	uint64_t opened, ended;

	for (size_t i = 0; i < s->n_workers; i++)
		stats_sum(&sum, worker_stats(s->workers[i]));
	opened = sum.flows_opened;
	ended = sum.flows_ended;
	/* A flow may end between the two readings. */
	snprintf(text, size, "%s%" PRIu64 " flows live, %" PRIu64 " opened%s%s",
	    s->stopping ? "draining: " : "",
	    opened > ended ? opened - ended : 0, opened,
	    *s->refusal ? "; reload refused: " : "", s->refusal);
}

static void
on_status(evutil_socket_t fd, short what, void *arg)
{
	struct supervise *s = arg;
	char text[sizeof(s->status)];

	(void)fd;
	(void)what;
	write_status(s, text, sizeof(text));
	if (!strcmp(text, s->status))
		return;
	strcpy(s->status, text);
	notify_send(&s->notify, "STATUS=%s", text);
}

/*
 * Asks every worker. The next round begins only once all have answered: a
 * stuck worker gets one message, and the manager none.
 */
static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct supervise *s = arg;

	(void)fd;
	(void)what;
	s->n_silent = s->n_workers;
	for (size_t i = 0; i < s->n_workers; i++)
		worker_ask(s->workers[i]);
}

/* Half of what the manager bears, so that a round may take the other. */
static void
arm_watchdog(struct supervise *s)
{
	struct timeval tv = clock_timeval((s->notify.watchdog_ms + 1) / 2);

	event_add(s->watchdog_timer, &tv);
}

void
supervise_on_answer(struct supervise *s)
{
	if (!s->n_silent || --s->n_silent)
		return;
	notify_send(&s->notify, "WATCHDOG=1");
	arm_watchdog(s);
}

void
supervise_open(struct supervise *s)
{
	int err = notify_open(&s->notify);

	if (err)
		log_warning("NOTIFY_SOCKET cannot be used: %s", strerror(-err));
}

int
supervise_start(struct supervise *s, struct event_base *base,
    struct worker **workers, size_t n)
{
	struct timeval tv = clock_timeval(STATUS_MS);

	if (s->notify.fd < 0)
		return 0;
	s->workers = workers;
	s->n_workers = n;
	s->status_timer = event_new(base, -1, EV_PERSIST, on_status, s);
	s->watchdog_timer = evtimer_new(base, on_watchdog, s);
	if (!s->status_timer || !s->watchdog_timer ||
	    event_add(s->status_timer, &tv))
		return -ENOMEM;
	if (s->notify.watchdog_ms)
		arm_watchdog(s);
	return 0;
}

/* sd_notify(3) wants the time at which the reload began. */
void
supervise_reloading(struct supervise *s)
{
	*s->refusal = '\0';
	notify_send(
	    &s->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_us());
}

void
supervise_refused(struct supervise *s, const char *why)
{
	if (!*s->refusal)
		snprintf(s->refusal, sizeof(s->refusal), "%s", why);
}

/* MAINPID: in the background it is not the process that was started. */
void
supervise_ready(struct supervise *s)
{
	if (s->stopping)
		return;
	write_status(s, s->status, sizeof(s->status));
	notify_send(&s->notify, "READY=1\nMAINPID=%d\nSTATUS=%s", (int)getpid(),
	    s->status);
}

/* The manager's own limit may be shorter than the drain that is wanted. */
void
supervise_stopping(struct supervise *s, int64_t drain_ms)
{
	s->stopping = true;
	write_status(s, s->status, sizeof(s->status));
	notify_send(&s->notify,
	    "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\nSTATUS=%s",
	    (drain_ms + STOP_SPARE_MS) * 1000, s->status);
}

void
supervise_close(struct supervise *s)
{
	if (s->status_timer)
		event_free(s->status_timer);
	if (s->watchdog_timer)
		event_free(s->watchdog_timer);
	notify_close(&s->notify);
	*s = (struct supervise){ .notify.fd = -1 };
}
