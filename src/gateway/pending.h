/*
 * pending: one operation on the firewall at a time, and the guardian: a
 * process that takes an unconfirmed one back. A file in /run for each
 * network namespace has its locks; what a dead process left in it does not
 * matter. Only inside src/gateway; blocks.
 */
#ifndef UNATATP_GATEWAY_PENDING_H
#define UNATATP_GATEWAY_PENDING_H

#include <stdint.h>
#include <sys/types.h>

struct pending {
	int fd;
	char path[64];
	pid_t guardian;	  /* 0: nothing waits for a confirm */
	int64_t deadline; /* of clock_ms() */
};

/* Waits until no other operation is under way. 0 or -errno. */
__attribute__((warn_unused_result)) int pending_begin(struct pending *p);

/*
 * Lets the next one begin; P's guardian and deadline stand from now. 0, or
 * -errno when they could not be written down: what stood there stands.
 */
__attribute__((warn_unused_result)) int pending_end(struct pending *p);

/*
 * Starts P's guardian. When the deadline has come, or when this process
 * ends without having written a byte to the descriptor that is returned,
 * which it does after pending_end, the guardian calls TAKE_BACK (0: done,
 * else it tries again). -errno when there is none.
 */
int pending_guard(struct pending *p, int (*take_back)(void *arg), void *arg);

/* Takes no lock. How long there is to confirm in ms; -1: nothing waits. */
int64_t pending_left(void);

#endif
