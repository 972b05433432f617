#include "base/mailbox.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

struct message {
	STAILQ_ENTRY(message) entry;
	mailbox_fn *fn;
	void *arg;
};

STAILQ_HEAD(message_queue, message);

/* Messages that serve when memory is short: none may be lost. */
#define RESERVE 64

struct mailbox {
	pthread_mutex_t mutex;
	struct message_queue queue, spare; /* under mutex */
	struct message reserve[RESERVE];
	struct event *event;
	void *owner;
	int fd;
};

/* Under the mutex. NULL: even the reserve is used up. */
static struct message *
take_spare(struct mailbox *box)
{
	struct message *m = STAILQ_FIRST(&box->spare);

	if (m)
		STAILQ_REMOVE_HEAD(&box->spare, entry);
	return m;
}

static void
give_back(struct mailbox *box, struct message *m)
{
	if (m < box->reserve || m >= box->reserve + RESERVE) {
		free(m);
		return;
	}
	pthread_mutex_lock(&box->mutex);
	STAILQ_INSERT_HEAD(&box->spare, m, entry);
	pthread_mutex_unlock(&box->mutex);
}

static void
run_all(struct mailbox *box)
{
	struct message_queue queue = STAILQ_HEAD_INITIALIZER(queue);
	struct message *m;

	pthread_mutex_lock(&box->mutex);
	STAILQ_CONCAT(&queue, &box->queue);
	pthread_mutex_unlock(&box->mutex);
	while ((m = STAILQ_FIRST(&queue))) {
		STAILQ_REMOVE_HEAD(&queue, entry);
		m->fn(box->owner, m->arg);
		give_back(box, m);
	}
}

static void
on_message(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		return;
	run_all(arg);
}

struct mailbox *
mailbox_new(struct event_base *base, void *owner)
{
	struct mailbox *box = calloc(1, sizeof(*box));

	if (!box)
		return NULL;
	box->owner = owner;
	STAILQ_INIT(&box->queue);
	STAILQ_INIT(&box->spare);
	for (size_t i = 0; i < RESERVE; i++)
		STAILQ_INSERT_HEAD(&box->spare, &box->reserve[i], entry);
	box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (box->fd < 0)
		goto free_box;
	box->event =
	    event_new(base, box->fd, EV_READ | EV_PERSIST, on_message, box);
	if (!box->event || event_add(box->event, NULL))
		goto close_fd;
	pthread_mutex_init(&box->mutex, NULL);
	return box;
close_fd:
	if (box->event)
		event_free(box->event);
	close(box->fd);
	errno = ENOMEM;
free_box:
	free(box);
	return NULL;
}

void
mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	run_all(box);
	event_free(box->event);
	close(box->fd);
	pthread_mutex_destroy(&box->mutex);
	free(box);
}

int
mailbox_post(struct mailbox *box, mailbox_fn *fn, void *arg)
{
	struct message *m = malloc(sizeof(*m));
	uint64_t one = 1;
	ssize_t n;

	pthread_mutex_lock(&box->mutex);
	if (!m)
		m = take_spare(box);
	if (m) {
		m->fn = fn;
		m->arg = arg;
		STAILQ_INSERT_TAIL(&box->queue, m, entry);
	}
	pthread_mutex_unlock(&box->mutex);
	if (!m)
		return -ENOMEM;
	/* A full counter (EAGAIN) has woken the owner already. */
	n = write(box->fd, &one, sizeof(one));
	(void)n;
	return 0;
}
