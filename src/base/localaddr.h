/*
 * localaddr: the set of the gateway's own addresses, kept up to date by
 * the kernel's notices. Main owns the watch; a set never changes, is
 * reference-counted, and may be searched by any thread.
 */
#ifndef UNATATP_BASE_LOCALADDR_H
#define UNATATP_BASE_LOCALADDR_H

#include <stdbool.h>

#include "base/addr.h"

struct event_base;
struct localaddr_set;
struct localaddr_watch;

/* A fresh set with one reference, or NULL with errno. */
struct localaddr_set *localaddr_read(void);
struct localaddr_set *localaddr_ref(struct localaddr_set *set);
void localaddr_unref(struct localaddr_set *set); /* NULL is allowed */

/* True for an address of an interface, or its directed broadcast. */
bool localaddr_has(const struct localaddr_set *set, const struct addr *a);

/* Calls ON_CHANGE after any address came or went. NULL with errno. */
struct localaddr_watch *localaddr_watch_new(
    struct event_base *base, void (*on_change)(void *arg), void *arg);
void localaddr_watch_free(struct localaddr_watch *watch);

#endif
