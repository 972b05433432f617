#include "flow/pipe_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* fs.pipe-max-size as it ships: more is refused, not cut (pipe(7)). */
#define SIZE_MOST (1 << 20)

/* A pipe at rest costs two descriptors; more than this are closed. */
#define IDLE_MOST 16

void
pipe_pool_init(struct pipe_pool *pool)
{
	SLIST_INIT(&pool->idle);
	pool->n_idle = 0;
}

static void
pipe_free(struct relay_pipe *p)
{
	close(p->in);
	close(p->out);
	free(p);
}

void
pipe_pool_clear(struct pipe_pool *pool)
{
	struct relay_pipe *p;

	while ((p = SLIST_FIRST(&pool->idle))) {
		SLIST_REMOVE_HEAD(&pool->idle, entry);
		pipe_free(p);
	}
	pool->n_idle = 0;
}

static struct relay_pipe *
pipe_new(size_t size)
{
	struct relay_pipe *p = malloc(sizeof(*p));
	int fds[2], granted;
	bool cut;

	if (!p)
		return NULL;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC)) {
		free(p);
		return NULL;
	}
	/* EPERM when the user's quota is spent: keep what it has. */
	cut = fcntl(fds[1], F_SETPIPE_SZ,
		  (int)(size > SIZE_MOST ? SIZE_MOST : size)) < 0;
	granted = fcntl(fds[1], F_GETPIPE_SZ);
	*p = (struct relay_pipe){
		.in = fds[1],
		.out = fds[0],
		.size = granted > 0 ? (size_t)granted : 4096,
		.asked = size,
		.cut = cut,
	};
	return p;
}

struct relay_pipe *
pipe_pool_take(struct pipe_pool *pool, size_t size)
{
	struct relay_pipe *p;

	/* Policies with other buffers share the pool, so look for a fit. */
	SLIST_FOREACH(p, &pool->idle, entry)
	if (p->asked == size)
		break;
	if (!p)
		return pipe_new(size);
	SLIST_REMOVE(&pool->idle, p, relay_pipe, entry);
	pool->n_idle--;
	return p;
}

void
pipe_pool_give(struct pipe_pool *pool, struct relay_pipe *p)
{
	if (p->held || pool->n_idle >= IDLE_MOST) {
		pipe_free(p);
		return;
	}
	SLIST_INSERT_HEAD(&pool->idle, p, entry);
	pool->n_idle++;
}
