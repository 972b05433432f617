#include "daemon/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privs.h"
#include "base/sock.h"
#include "daemon/confine.h"
#include "flow/flow.h"

struct worker {
	const struct worker_shared *shared;
	struct event_base *base;
	struct mailbox *mailbox;
	struct flow_set flows;
	pthread_t thread;
	bool started, draining, drained;
};

/*
 * After so many callbacks the loop looks at timers and mailboxes: a poller
 * that always has flows wanting another turn does not keep them waiting.
 */
#define CALLBACKS_A_TURN 4

static struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_max_dispatch_interval(
	    config, NULL, CALLBACKS_A_TURN, 0);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static void
tell_main(struct worker *w, mailbox_fn *fn, void *arg)
{
	if (mailbox_post(w->shared->main, fn, arg))
		log_error("worker: out of memory for a message");
}

static void
on_empty(struct flow_set *set)
{
	struct worker *w =
	    (struct worker *)((char *)set - offsetof(struct worker, flows));

	if (!w->draining || w->drained)
		return;
	w->drained = true;
	tell_main(w, w->shared->on_drained, w);
}

struct worker *
worker_new(const struct worker_shared *shared, size_t index)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->shared = shared;
	w->base = base_new();
	if (!w->base)
		goto fail;
	w->mailbox = mailbox_new(w->base, w);
	if (!w->mailbox)
		goto fail;
	w->flows.base = w->base;
	w->flows.live_total = shared->live_total;
	w->flows.sources = shared->sources;
	w->flows.choosers = shared->choosers;
	w->flows.next_id = index + 1;
	w->flows.id_step = shared->n_workers;
	w->flows.on_empty = on_empty;
	if (!flow_set_init(&w->flows))
		return w;
fail:
	mailbox_free(w->mailbox);
	if (w->base)
		event_base_free(w->base);
	free(w);
	errno = ENOMEM;
	return NULL;
}

static void *
run(void *arg)
{
	struct worker *w = arg;

	privs_forget_reader();
	if (w->shared->sandbox)
		confine_worker();
	event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

int
worker_start(struct worker *w)
{
	int err = pthread_create(&w->thread, NULL, run, w);

	w->started = !err;
	return -err;
}

struct worker_adoption {
	struct conf *conf;
	struct policy_stats **policy_stats;
	size_t n;
	struct worker_listener fds[];
};

static void
on_adopt(void *owner, void *arg)
{
	struct worker *w = owner;
	struct worker_adoption *a = arg;
	struct sock_options inherited;

	listener_inherit(a->conf, &inherited);
	for (size_t i = 0; i < a->n; i++)
		if (listeners_add(&w->flows.listeners, a->fds[i].fd,
			&a->fds[i].addr, &inherited))
			log_error("worker: out of memory for a listener");
	conf_unref(w->flows.conf);
	w->flows.conf = a->conf;
	free(w->flows.policy_stats);
	w->flows.policy_stats = a->policy_stats;
	w->flows.relays.memory_most =
	    (size_t)a->conf->limits.memory / w->shared->n_workers;
	listeners_keep(&w->flows.listeners, a->conf);
	free(a);
	tell_main(w, w->shared->on_adopted, w);
}

struct worker_adoption *
worker_adoption_new(struct conf *conf, struct policy_stats **policy_stats,
    const struct worker_listener *fds, size_t n)
{
	struct worker_adoption *a = malloc(sizeof(*a) + n * sizeof(*fds));

	if (!a)
		return NULL;
	a->n = n;
	if (n)
		memcpy(a->fds, fds, n * sizeof(*fds));
	a->conf = conf_ref(conf);
	a->policy_stats = policy_stats;
	return a;
}

void
worker_adoption_free(struct worker_adoption *a)
{
	if (!a)
		return;
	conf_unref(a->conf);
	free(a->policy_stats);
	free(a);
}

static void
on_local(void *owner, void *arg)
{
	struct worker *w = owner;

	localaddr_unref(w->flows.local);
	w->flows.local = arg;
}

void
worker_set_local(struct worker *w, struct localaddr_set *set)
{
	if (!mailbox_post(w->mailbox, on_local, localaddr_ref(set)))
		return;
	localaddr_unref(set);
	log_error("worker: out of memory for the gateway's addresses");
}

static void
on_drain(void *owner, void *arg)
{
	struct worker *w = owner;

	(void)arg;
	listeners_close(&w->flows.listeners);
	w->draining = true;
	if (!w->flows.n_live)
		on_empty(&w->flows);
}

static void
on_errand_done(void *owner, void *arg)
{
	struct worker_errand *errand = arg;

	(void)owner;
	errand->done(errand);
}

static void
on_errand(void *owner, void *arg)
{
	struct worker *w = owner;
	struct worker_errand *errand = arg;

	errand->run(errand, &w->flows);
	tell_main(w, on_errand_done, errand);
}

int
worker_send(struct worker *w, struct worker_errand *errand)
{
	return mailbox_post(w->mailbox, on_errand, errand);
}

static void
on_ask(void *owner, void *arg)
{
	struct worker *w = owner;

	(void)arg;
	tell_main(w, w->shared->on_answer, w);
}

static void
on_close_flows(void *owner, void *arg)
{
	struct worker *w = owner;

	flow_set_close_all(&w->flows, (enum ending)(uintptr_t)arg);
}

static void
on_quit(void *owner, void *arg)
{
	struct worker *w = owner;

	(void)arg;
	event_base_loopbreak(w->base);
}

static void
post(struct worker *w, mailbox_fn *fn, void *arg)
{
	if (mailbox_post(w->mailbox, fn, arg))
		log_error("worker: out of memory for a message");
}

void
worker_adopt(struct worker *w, struct worker_adoption *a)
{
	post(w, on_adopt, a);
}

void
worker_drain(struct worker *w)
{
	post(w, on_drain, NULL);
}

void
worker_ask(struct worker *w)
{
	post(w, on_ask, NULL);
}

void
worker_close_flows(struct worker *w, enum ending ending)
{
	post(w, on_close_flows, (void *)(uintptr_t)ending);
}

void
worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->started) {
		post(w, on_quit, NULL);
		pthread_join(w->thread, NULL);
	}
	mailbox_free(w->mailbox);
	flow_set_close_all(&w->flows, ENDING_SHUTDOWN);
	flow_set_clear(&w->flows);
	event_base_free(w->base);
	free(w);
}

const struct stats *
worker_stats(const struct worker *w)
{
	return &w->flows.stats;
}

uint64_t
worker_take_high(struct worker *w)
{
	return stats_take_high(&w->flows.stats);
}
