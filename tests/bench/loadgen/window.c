#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "loadgen.h"

uint64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void
window_start(struct window *w, const struct options *opt)
{
	w->opens = clock_ns() + opt->warmup_ms * 1000000ull;
	w->closes = w->opens + opt->time_ms * 1000000ull;
	w->open = false;
}

enum window_state
window_look(struct window *w)
{
	uint64_t now = clock_ns();

	if (!w->open && now >= w->opens) {
		w->open = true;
		w->closes += now - w->opens;
		w->opens = now;
		puts("start");
		fflush(stdout);
		return WINDOW_OPENED;
	}
	if (w->open && now >= w->closes) {
		w->closes = now;
		puts("end");
		fflush(stdout);
		return WINDOW_CLOSED;
	}
	return w->open ? WINDOW_INSIDE : WINDOW_BEFORE;
}

int
window_wait_ms(const struct window *w)
{
	uint64_t edge = w->open ? w->closes : w->opens;
	uint64_t now = clock_ns();

	return now < edge ? (int)((edge - now) / 1000000u) + 1 : 0;
}

void
samples_add(struct samples *s, uint64_t ns)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 1u << 20;
		s->at = realloc(s->at, s->room * sizeof(*s->at));
		if (!s->at)
			die("no memory for %zu samples", s->room);
	}
	s->at[s->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void
samples_sort(struct samples *s)
{
	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), compare);
}

double
samples_quantile_us(const struct samples *s, double q)
{
	if (!s->n)
		return 0;
	return s->at[(size_t)(q * (double)(s->n - 1))] / 1000.0;
}
