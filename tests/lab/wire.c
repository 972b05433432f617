#include <stdlib.h>
#include <string.h>

#include "wire.h"

enum { DRAW_JITTER = 3 };

void
wire_init(struct wire *w)
{
	memset(w, 0, sizeof(*w));
	STAILQ_INIT(&w->queue);
	STAILQ_INIT(&w->line);
}

static void
clear(struct packets *list)
{
	struct packet *p;

	while ((p = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, next);
		free(p);
	}
}

void
wire_clear(struct wire *w)
{
	clear(&w->queue);
	clear(&w->line);
	w->counts.queue_now = 0;
}

void
wire_reset(struct wire *w)
{
	uint64_t waiting = w->counts.queue_now;

	memset(&w->counts, 0, sizeof(w->counts));
	w->counts.queue_now = waiting;
	loss_reset(&w->loss);
}

/* When the head of the queue will have left it. */
static uint64_t
departure(const struct wire *w)
{
	const struct packet *p = STAILQ_FIRST(&w->queue);
	uint64_t from = p->arrived > w->free_at ? p->arrived : w->free_at;

	return from + (uint64_t)(p->size * 8e9 / w->rate);
}

/* The head of the queue leaves it at AT: it is lost, or on the line. */
static void
depart(struct wire *w, uint64_t at)
{
	struct packet *p = STAILQ_FIRST(&w->queue);
	double jitter = loss_draw(w->loss.seed, w->loss.index, DRAW_JITTER);

	STAILQ_REMOVE_HEAD(&w->queue, next);
	w->counts.queue_now -= p->size;
	w->free_at = at;
	if (loss_next(&w->loss)) {
		w->counts.lost++;
		free(p);
		return;
	}
	p->due = at + w->delay + (uint64_t)(jitter * (double)w->jitter);
	if (p->due < w->last_due)
		p->due = w->last_due;
	w->last_due = p->due;
	STAILQ_INSERT_TAIL(&w->line, p, next);
}

static void
advance(struct wire *w, uint64_t now)
{
	while (!STAILQ_EMPTY(&w->queue)) {
		uint64_t at = departure(w);

		if (at > now)
			return;
		depart(w, at);
	}
}

void
wire_arrive(struct wire *w, uint64_t now, struct packet *p)
{
	advance(w, now);
	w->counts.packets++;
	w->counts.bytes += p->size;
	if (w->counts.queue_now + p->size > w->limit) {
		w->counts.dropped++;
		free(p);
		return;
	}
	p->arrived = now;
	w->counts.queue_now += p->size;
	if (w->counts.queue_now > w->counts.queue_max)
		w->counts.queue_max = w->counts.queue_now;
	STAILQ_INSERT_TAIL(&w->queue, p, next);
}

uint64_t
wire_next(const struct wire *w)
{
	/* What waits is due after all that has left: one alarm a packet. */
	if (!STAILQ_EMPTY(&w->line))
		return STAILQ_FIRST(&w->line)->due;
	return STAILQ_EMPTY(&w->queue) ? WIRE_NEVER : departure(w) + w->delay;
}

struct packet *
wire_take(struct wire *w, uint64_t now)
{
	struct packet *p;

	advance(w, now);
	p = STAILQ_FIRST(&w->line);
	if (!p || p->due > now)
		return NULL;
	STAILQ_REMOVE_HEAD(&w->line, next);
	w->counts.delivered++;
	w->counts.out_bytes += p->size;
	return p;
}
