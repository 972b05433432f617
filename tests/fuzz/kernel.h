/*
 * kernel: two TCP sockets that exist only here, as the relay's system calls
 * and epoll would find them in Linux 6: edges, marks, what an error leaves
 * behind. Linked in with --wrap, it stands where recv, send, splice, the
 * sock_* calls and the poller do. Whoever owns the schedule says what
 * arrives and what is acknowledged.
 */
#ifndef UNATATP_FUZZ_KERNEL_H
#define UNATATP_FUZZ_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/poller.h"

#define KERNEL_FD 1000 /* of the first; no file has such a number here */

struct kernel_sock {
	struct poll_entry *entry;
	bool again; /* it asked for one more turn */
	bool edge;  /* epoll will say something */
	/* Receiving: places in the stream, of which byte 0 is the first. */
	uint64_t arrived, taken;
	uint64_t mark; /* where the urgent byte is */
	bool has_mark, fin;
	bool reset; /* or timed out: no state is left */
	int error;  /* what the next call is told, once */
	/* Sending. */
	uint64_t accepted, acked;
	size_t room_most; /* the send buffer */
	bool no_room;	  /* somebody wants to hear of room: SOCK_NOSPACE */
	bool shut, fin_acked;
};

struct kernel {
	struct kernel_sock socks[2];
	/* In so many calls from now; 0: never. */
	unsigned no_memory_in;
	bool lost_memory;      /* and bytes with it */
	bool no_pipes;	       /* pipe2 fails */
	bool no_splice;	       /* EINVAL */
	void (*on_call)(void); /* something may happen before each call */
};

extern struct kernel kernel;

void kernel_reset(size_t room0, size_t room1);

/* --- what comes from the network to socket I ---------------------- */

void kernel_data(int i, size_t n, bool urgent);
void kernel_fin(int i);
void kernel_rst(int i, int error);
void kernel_ack(int i, size_t n);

/* Tells socket I's entry what is new, or lets it have its other turn. */
bool kernel_deliver(int i);
bool kernel_again(int i);

/* --- for kernel_calls.c ------------------------------------------- */

struct kernel_sock *kernel_sock_of(int fd); /* NULL: it is no socket */
size_t kernel_room(const struct kernel_sock *s);
uint32_t kernel_ready(struct kernel_sock *s);

#endif
