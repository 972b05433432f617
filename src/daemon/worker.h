/*
 * worker: one thread with its own event base, listeners and flows. Main
 * owns it and speaks to it through its mailbox; it speaks to main through
 * main's. Only worker_stats and worker_take_high look inside from outside.
 */
#ifndef UNATATP_DAEMON_WORKER_H
#define UNATATP_DAEMON_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/localaddr.h"
#include "base/mailbox.h"
#include "conf/conf.h"
#include "flow/ending.h"
#include "flow/stats.h"

struct choosers;
struct flow_set;
struct policy_stats;
struct sources;
struct worker;

/* What all workers of a daemon share. */
struct worker_shared {
	struct mailbox *main;
	mailbox_fn *on_adopted; /* posted to main: conf is in force */
	mailbox_fn *on_drained; /* likewise: no flow is left */
	mailbox_fn *on_answer;	/* likewise: it was asked */
	_Atomic int64_t *live_total;
	struct sources *sources;
	struct choosers *choosers;
	size_t n_workers;
	bool sandbox; /* they enter it: confine_worker */
};

/* A listening socket on its way to a worker, with what it inherits. */
struct worker_listener {
	struct addr addr;
	int fd;
};

/* The INDEX-th of N workers, not yet running. NULL with errno. */
struct worker *worker_new(const struct worker_shared *shared, size_t index);

/* Starts the thread. 0 or -errno. */
__attribute__((warn_unused_result)) int worker_start(struct worker *w);

/*
 * What a worker is to go by from some moment on: a reference to CONF, the
 * array of what to count its policies in (by their index; the fallback is
 * last), and N listening sockets. NULL: out of memory, nothing was taken.
 */
struct worker_adoption *worker_adoption_new(struct conf *conf,
    struct policy_stats **policy_stats, const struct worker_listener *fds,
    size_t n);

/* Drops one that no worker has; the sockets stay the caller's. */
void worker_adoption_free(struct worker_adoption *a);

/*
 * Hands A to its worker. Sockets of addresses that its configuration does
 * not name are closed; on_adopted follows.
 */
void worker_adopt(struct worker *w, struct worker_adoption *a);

/* Takes a reference to the gateway's addresses. */
void worker_set_local(struct worker *w, struct localaddr_set *set);

/* Accepts nothing more; on_drained follows when the last flow is gone. */
void worker_drain(struct worker *w);

/*
 * What main wants a worker to do: RUN is called on the worker's thread with
 * its flows, then DONE on main's. The errand is the sender's; between the
 * two the worker's.
 */
struct worker_errand {
	void (*run)(struct worker_errand *errand, struct flow_set *flows);
	void (*done)(struct worker_errand *errand);
};

/* 0, or -ENOMEM: the worker has not got it. */
__attribute__((warn_unused_result)) int worker_send(
    struct worker *w, struct worker_errand *errand);

/* Has it post on_answer, as soon as its loop gets there. */
void worker_ask(struct worker *w);

/* Closes every flow for one reason. */
void worker_close_flows(struct worker *w, enum ending ending);

/* Ends the thread, joins it, frees everything. NULL is allowed. */
void worker_free(struct worker *w);

const struct stats *worker_stats(const struct worker *w);

/* stats_take_high of W's. */
uint64_t worker_take_high(struct worker *w);

#endif
