#include "daemon/trim.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/signals.h"
#include "daemon/state.h"

#define PERIOD_MS 1000

/* What is worth a walk through the free lists of every heap, bytes. */
#define LEAST (512 << 10)

struct trim {
	const struct daemon *daemon;
	struct event *timer;
	uint64_t high; /* the most held since memory was given back, bytes */
};

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct trim *t = arg;
	const struct daemon *d = t->daemon;
	struct stats sum = { 0 };
	uint64_t high = 0;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < d->shared.n_workers; i++)
		high += worker_take_high(d->workers[i]);
	if (high > t->high)
		t->high = high;
	signals_sum_stats(d, &sum);
	if (t->high < LEAST || sum.memory_held > t->high / 2)
		return;
#ifdef HAVE_MALLOC_TRIM
	malloc_trim(0);
#endif
	t->high = sum.memory_held;
}

struct trim *
trim_new(const struct daemon *d)
{
	struct timeval tv = clock_timeval(PERIOD_MS);
	struct trim *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->daemon = d;
	t->timer = event_new(d->base, -1, EV_PERSIST, on_timer, t);
	if (t->timer && !event_add(t->timer, &tv))
		return t;
	trim_free(t);
	errno = ENOMEM;
	return NULL;
}

void
trim_free(struct trim *t)
{
	if (!t)
		return;
	if (t->timer)
		event_free(t->timer);
	free(t);
}
