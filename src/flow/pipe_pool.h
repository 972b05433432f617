/*
 * pipe_pool: pipes for splice(2), lent to a lane only while they hold its
 * bytes. A worker owns its pool; nothing here is safe from another thread.
 */
#ifndef UNATATP_FLOW_PIPE_POOL_H
#define UNATATP_FLOW_PIPE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct relay_pipe {
	SLIST_ENTRY(relay_pipe) entry;
	int in, out;  /* write here, read there */
	size_t size;  /* what the kernel granted, bytes */
	size_t asked; /* what was asked of it */
	size_t held;  /* bytes inside; the borrower keeps count */
	bool cut;     /* made smaller than asked: the quota is spent */
};

struct pipe_pool {
	SLIST_HEAD(, relay_pipe) idle;
	size_t n_idle;
};

void pipe_pool_init(struct pipe_pool *pool);
void pipe_pool_clear(struct pipe_pool *pool);

/*
 * An empty pipe of about SIZE bytes: less when the user's quota of pipe
 * pages is spent (pipe(7)). NULL with errno: out of descriptors or memory.
 */
struct relay_pipe *pipe_pool_take(struct pipe_pool *pool, size_t size);

/* Gives P back. One that still holds bytes is closed and they are lost. */
void pipe_pool_give(struct pipe_pool *pool, struct relay_pipe *p);

#endif
