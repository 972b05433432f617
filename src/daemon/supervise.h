/*
 * supervise: tells the service manager how the daemon is: ready, reloading,
 * stopping, a line of status, and, where a watchdog is set, that main and
 * all workers answer. Owned by the daemon, used on its main thread.
 */
#ifndef UNATATP_DAEMON_SUPERVISE_H
#define UNATATP_DAEMON_SUPERVISE_H

#include "base/notify.h"
#include "daemon/worker.h"

struct event;
struct event_base;

#define SUPERVISE_TEXT_MAX 256

struct supervise {
	struct notify notify;
	struct event *status_timer, *watchdog_timer;
	struct worker **workers; /* the daemon's */
	size_t n_workers;
	size_t n_silent; /* workers that have yet to answer */
	bool stopping;
	char refusal[SUPERVISE_TEXT_MAX];    /* of the last reload; "": none */
	char status[2 * SUPERVISE_TEXT_MAX]; /* as told last */
};

/* Reads the environment: before any fork. */
void supervise_open(struct supervise *s);

/*
 * Everything stands: says so, and from now on looks after N WORKERS, which
 * stay the caller's. 0 or -ENOMEM.
 */
__attribute__((warn_unused_result)) int supervise_start(struct supervise *s,
    struct event_base *base, struct worker **workers, size_t n);

/* A reload begins; supervise_ready ends it. */
void supervise_reloading(struct supervise *s);

/* The reload was refused; WHY stands in the status until one is not. */
void supervise_refused(struct supervise *s, const char *why);

/* In service, with the configuration that was read last. */
void supervise_ready(struct supervise *s);

/* The drain begins; it takes DRAIN_MS at most. */
void supervise_stopping(struct supervise *s, int64_t drain_ms);

/* A worker has answered worker_ask. */
void supervise_on_answer(struct supervise *s);

void supervise_close(struct supervise *s);

#endif
