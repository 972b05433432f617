#include "base/poller.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Events fetched in one call. */
#define BATCH 64

/*
 * While traffic flows the poller waits by itself, this long a round, which
 * saves libevent's own epoll_wait on the way of the next event (an answer
 * comes within a millisecond on a near server). Timers and mailboxes are
 * late by no more than so many rounds.
 */
#define ROUNDS 16
#define LINGER_MS 1

LIST_HEAD(entry_list, poll_entry);

struct poller {
	struct event *event; /* readiness of fd itself */
	struct entry_list again;
	int fd;
	bool running;
};

/* Moves all of FROM, which becomes empty, to TO. */
static void
take_all(struct entry_list *to, struct entry_list *from)
{
	to->lh_first = from->lh_first;
	if (to->lh_first)
		to->lh_first->again.le_prev = &to->lh_first;
	LIST_INIT(from);
}

/* Those that ask anew meanwhile wait for the next round. */
static void
run_again(struct poller *poller)
{
	struct entry_list now = LIST_HEAD_INITIALIZER(now);
	struct poll_entry *entry;

	take_all(&now, &poller->again);
	while ((entry = LIST_FIRST(&now))) {
		LIST_REMOVE(entry, again);
		entry->waits = false;
		entry->on_ready(entry, 0);
	}
}

/* True when anything was done. */
static bool
run_round(struct poller *poller)
{
	struct epoll_event events[BATCH];
	bool waiting = !LIST_EMPTY(&poller->again);
	int n = epoll_wait(poller->fd, events, BATCH, waiting ? 0 : LINGER_MS);

	for (int i = 0; i < n; i++) {
		struct poll_entry *entry = events[i].data.ptr;

		if (entry->on_ready)
			entry->on_ready(entry, events[i].events);
	}
	run_again(poller);
	return n > 0 || waiting;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct poller *poller = arg;
	int rounds = ROUNDS;

	(void)fd;
	(void)what;
	poller->running = true;
	while (rounds-- > 0 && run_round(poller))
		;
	poller->running = false;
	if (!LIST_EMPTY(&poller->again))
		event_active(poller->event, EV_READ, 0);
}

struct poller *
poller_new(struct event_base *base)
{
	struct poller *poller = calloc(1, sizeof(*poller));

	if (!poller)
		return NULL;
	LIST_INIT(&poller->again);
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	if (poller->fd < 0)
		goto free_poller;
	poller->event = event_new(
	    base, poller->fd, EV_READ | EV_PERSIST, on_readable, poller);
	if (poller->event && !event_add(poller->event, NULL))
		return poller;
	if (poller->event)
		event_free(poller->event);
	close(poller->fd);
	errno = ENOMEM;
free_poller:
	free(poller);
	return NULL;
}

void
poller_free(struct poller *poller)
{
	if (!poller)
		return;
	event_free(poller->event);
	close(poller->fd);
	free(poller);
}

int
poller_add(
    struct poller *poller, int fd, struct poll_entry *entry, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = entry };

	return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

void
poller_remove(struct poller *poller, int fd)
{
	epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL);
}

void
poller_again(struct poller *poller, struct poll_entry *entry)
{
	if (entry->waits)
		return;
	entry->waits = true;
	LIST_INSERT_HEAD(&poller->again, entry, again);
	if (!poller->running)
		event_active(poller->event, EV_READ, 0);
}

void
poller_forget(struct poll_entry *entry)
{
	if (entry->waits)
		LIST_REMOVE(entry, again);
	entry->waits = false;
	entry->on_ready = NULL;
}
