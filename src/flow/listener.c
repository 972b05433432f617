#include "flow/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define ACCEPT_BATCH 32
#define ACCEPT_LAST 4096 /* before a listener closes */
#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 500

/*
 * Of the workers that share a passed socket, not all that linger in their
 * poller wake up for one connection. Those at rest do: the kernel does not
 * see through libevent's epoll around the poller's.
 */
#define EVENTS (EPOLLIN | EPOLLEXCLUSIVE)

bool
listener_starved(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS ||
	    err == -ENOMEM;
}

static size_t
spare_index(sa_family_t family)
{
	return family == AF_INET6;
}

/* Opens the spares that are missing. 0 or -errno; no IPv6 is no fault. */
static int
refill(struct listeners *ls)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		if (ls->spare[i] < 0)
			ls->spare[i] = sock_stream(families[i]);
		if (listener_starved(ls->spare[i]))
			return ls->spare[i];
	}
	return 0;
}

static void
start_all(struct listeners *ls)
{
	struct listener *l;

	TAILQ_FOREACH(l, &ls->list, entry)
		if (poller_add(ls->poller, l->fd, &l->ready, EVENTS))
			log_error("cannot watch a listener");
}

static void
arm_resume(struct listeners *ls)
{
	struct timeval tv = clock_timeval(ls->backoff_ms);

	event_add(&ls->resume, &tv);
}

static void
log_pause(int err)
{
	/* One line a second from all workers together. */
	static _Atomic int64_t logged_ms;
	int64_t now = clock_coarse_ms(), last = logged_ms;

	if ((last && now - last < 1000) ||
	    !atomic_compare_exchange_strong(&logged_ms, &last, now))
		return;
	log_warning("accepting pauses: %s (live flows go on; raise the "
		    "descriptor limit or lower limits.flows)",
	    strerror(-err));
}

void
listeners_pause(struct listeners *ls, int err)
{
	struct listener *l;

	if (ls->paused)
		return;
	ls->paused = true;
	ls->backoff_ms = ls->backoff_ms ? ls->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (ls->backoff_ms > BACKOFF_MAX_MS)
		ls->backoff_ms = BACKOFF_MAX_MS;
	stats_add(&ls->stats->accept_pauses, 1);
	log_pause(err);
	/* epoll would report a listener that cannot accept for ever. */
	TAILQ_FOREACH(l, &ls->list, entry)
		poller_remove(ls->poller, l->fd);
	arm_resume(ls);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct listeners *ls = arg;
	int err;

	(void)fd;
	(void)what;
	ls->paused = false;
	err = refill(ls);
	if (err)
		listeners_pause(ls, err);
	else
		start_all(ls);
}

int
listeners_lend(struct listeners *ls, sa_family_t family)
{
	int *spare = &ls->spare[spare_index(family)], fd = *spare;

	*spare = -1;
	listeners_pause(ls, -EMFILE);
	return fd < 0 ? -1 : fd;
}

static void
accept_some(struct listener *l, int most)
{
	struct listeners *ls = l->owner;

	for (int i = 0; i < most && !ls->paused; i++) {
		struct addr peer;
		int client = sock_accept(l->fd, &peer);

		if (client == -EAGAIN)
			return;
		if (listener_starved(client)) {
			listeners_pause(ls, client);
			return;
		}
		/* Others concern one connection that is gone: accept(2). */
		if (client < 0)
			continue;
		ls->backoff_ms = 0;
		ls->on_accept(l, client, &peer);
	}
}

static void
on_ready(struct poll_entry *ready, uint32_t events)
{
	(void)events;
	accept_some((struct listener *)((char *)ready -
			offsetof(struct listener, ready)),
	    ACCEPT_BATCH);
}

static void
smallest_mss(const struct policy *policy, int64_t *mss)
{
	if (policy->client.mss && (!*mss || policy->client.mss < *mss))
		*mss = policy->client.mss;
}

void
listener_inherit(const struct conf *conf, struct sock_options *options)
{
	const struct policy *first =
	    conf->n_policies ? &conf->policies[0] : &conf->fallback;

	*options = sock_options_none;
	options->keepalive = first->client.keepalive;
	options->notsent_lowat = first->client.notsent_lowat;
	options->user_timeout = first->client.user_timeout;
	/* The SYN-ACK carries it, and leaves before there is a policy. */
	for (size_t i = 0; i < conf->n_policies; i++)
		smallest_mss(&conf->policies[i], &options->mss);
	smallest_mss(&conf->fallback, &options->mss);
}

void
listeners_init(struct listeners *ls, struct event_base *base,
    struct poller *poller, struct stats *stats, listener_accept_fn *on_accept)
{
	*ls = (struct listeners){
		.poller = poller,
		.stats = stats,
		.on_accept = on_accept,
		.spare = { -1, -1 },
	};
	TAILQ_INIT(&ls->list);
	refill(ls);
	evtimer_assign(&ls->resume, base, on_resume, ls);
}

int
listeners_add(struct listeners *ls, int fd, const struct addr *a,
    const struct sock_options *options)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->owner = ls;
	l->fd = fd;
	l->addr = *a;
	l->inherited = *options;
	l->ready.on_ready = on_ready;
	TAILQ_INSERT_TAIL(&ls->list, l, entry);
	if (ls->paused)
		return 0;
	return poller_add(ls->poller, fd, &l->ready, EVENTS);
}

static void
remove_one(struct listeners *ls, struct listener *l)
{
	/* What the kernel has already accepted would see a reset. */
	accept_some(l, ACCEPT_LAST);
	/* epoll knows a copied socket until its last copy closes: epoll(7). */
	poller_remove(ls->poller, l->fd);
	poller_forget(&l->ready);
	close(l->fd);
	TAILQ_REMOVE(&ls->list, l, entry);
	free(l);
}

static bool
names(const struct conf *conf, const struct addr *a)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		if (addr_equal(&conf->listens[i], a))
			return true;
	return false;
}

void
listeners_keep(struct listeners *ls, const struct conf *conf)
{
	struct listener *l = TAILQ_FIRST(&ls->list), *next;
	struct sock_options now;

	listener_inherit(conf, &now);
	for (; l; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (!names(conf, &l->addr)) {
			remove_one(ls, l);
			continue;
		}
		if (now.mss != l->inherited.mss) {
			struct sock_options mss = l->inherited;

			mss.mss = now.mss;
			sock_apply(
			    l->fd, l->addr.sa.sa_family, &mss, &l->inherited);
			l->inherited.mss = now.mss;
		}
	}
}

void
listeners_close(struct listeners *ls)
{
	struct listener *l;

	while ((l = TAILQ_FIRST(&ls->list)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is the next */
		remove_one(ls, l);
	event_del(&ls->resume);
	for (size_t i = 0; i < 2; i++) {
		if (ls->spare[i] >= 0)
			close(ls->spare[i]);
		ls->spare[i] = -1;
	}
}
