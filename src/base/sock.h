/*
 * sock: every socket call and socket option of the program, so that the
 * kernel's habits are known in one place. Descriptors that come out are
 * non-blocking and close-on-exec and belong to the caller. Any thread.
 */
#ifndef UNATATP_BASE_SOCK_H
#define UNATATP_BASE_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"

#define SOCK_CONGESTION_MAX 16	/* TCP_CA_NAME_MAX, with its NUL */
#define SOCK_INTERFACE_MAX 16	/* IFNAMSIZ, with its NUL */

/* What one leg's socket gets. A zero (dscp: -1) leaves the kernel's own. */
struct sock_options {
	char congestion[SOCK_CONGESTION_MAX];	/* "": the system's */
	int64_t notsent_lowat;			/* bytes */
	int64_t mss;				/* bytes */
	int64_t window_clamp;			/* bytes */
	int64_t pacing;				/* bits a second */
	int64_t user_timeout;			/* ms */
	int64_t keepalive;			/* ms of silence */
	int64_t dscp;				/* 0..63, -1: leave */
	int64_t sndbuf;				/* bytes */
	int64_t rcvbuf;				/* bytes */
};

#endif
