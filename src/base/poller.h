/*
 * poller: edge-triggered readiness for the sockets of flows, on top of a
 * libevent loop. libevent hides what epoll says of errors and hang-ups and
 * pays an epoll_ctl for each change of mind; here a socket is added once,
 * close(2) removes it, and entries get epoll's own word. Timers and
 * mailboxes stay with libevent. One thread: the loop's.
 */
#ifndef UNATATP_BASE_POLLER_H
#define UNATATP_BASE_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

struct event_base;
struct poller;

/* What a flow's socket is added for. */
#define POLLER_STREAM (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* Embedded in what it belongs to. */
struct poll_entry {
	/* EVENTS are epoll's; 0: the turn that poller_again asked for. */
	void (*on_ready)(struct poll_entry *entry, uint32_t events);
	LIST_ENTRY(poll_entry) again;
	bool waits; /* on the list of those that want another turn */
};

/* NULL with errno. */
struct poller *poller_new(struct event_base *base);
void poller_free(struct poller *poller);

/* 0 or -errno (-ENOMEM, -ENOSPC). */
__attribute__((warn_unused_result)) int poller_add(
    struct poller *poller, int fd, struct poll_entry *entry, uint32_t events);

/*
 * For a descriptor that stays open, or whose socket does because others hold
 * it, too (SCM_RIGHTS, fork); closing it is enough otherwise.
 */
void poller_remove(struct poller *poller, int fd);

/* Calls ENTRY once more when the others have had their turn. */
void poller_again(struct poller *poller, struct poll_entry *entry);

/*
 * ENTRY gets no more calls. Its memory must stay until the round is over:
 * until an entry that was given to poller_again after this gets its turn.
 */
void poller_forget(struct poll_entry *entry);

#endif
