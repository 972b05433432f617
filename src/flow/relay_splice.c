/*
 * The splice engine: bulk flows end up here. Bytes go from socket to pipe
 * to socket without being copied (splice(2)). A lane borrows a pipe only
 * while there are bytes in it.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "flow/pipe_pool.h"
#include "flow/relay.h"
#include "flow/step.h"

/* Bytes a lane may move before other flows get their turn. */
#define BUDGET (1 << 20)

/* After a lack of pipes: bytes to copy before another attempt. */
#define RETRY_AFTER (16 << 20)

#define FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK)

/* Atomic in any pipe that is empty: pipe(7), PIPE_BUF. */
#define URGENT_MOST 4096

static void
give_back(struct relay *relay, struct lane *lane)
{
	if (lane->pipe)
		pipe_pool_give(relay->shared->pool, lane->pipe);
	lane->pipe = NULL;
}

/* Moves what LANE's pipe holds into its queue. False: out of memory. */
static bool
unload(struct lane *lane)
{
	struct relay_pipe *p = lane->pipe;

	if (!p || !p->held)
		return true;
	if (!lane->queue)
		lane->queue = evbuffer_new();
	while (lane->queue && p->held) {
		int n = evbuffer_read(lane->queue, p->out, (int)p->held);

		if (n <= 0)
			return false;
		p->held -= (size_t)n;
	}
	return lane->queue;
}

/*
 * The buffer engine takes over with every byte that is under way. AFTER
 * is relay->splice_after from now on; 0: for good.
 */
static enum step
fall_back(struct relay *relay, uint64_t after)
{
	bool whole = unload(&relay->lanes[RELAY_UP]) &&
	    unload(&relay->lanes[RELAY_DOWN]);

	relay->splice_after = after;
	for (int i = 0; i < 2; i++)
		relay->lanes[i].burst = 0;
	if (whole) {
		relay_switch(relay, &relay_buffer);
		return STEP_GONE;
	}
	relay->failed_error = -ENOMEM;
	relay->legs[RELAY_CLIENT].failed = true;
	relay_leg_failed(&relay->legs[RELAY_SERVER], -ENOMEM);
	return STEP_GONE;
}

/*
 * splice(2) stops short of urgent data and then says EAGAIN, or even 0
 * when the FIN has come (tcp_read_sock, Linux 6.18;
 * tests/net/test_urgent.py): read it instead.
 */
static enum step
read_urgent(struct relay *relay, struct lane *lane)
{
	char *scratch = relay->shared->scratch;
	ssize_t n = recv(lane_from(relay, lane)->fd, scratch, URGENT_MOST, 0);

	if (n > 0)
		n = write(lane->pipe->in, scratch, (size_t)n);
	if (n <= 0)
		return step_unless(
		    relay_read_failed(relay, lane, n ? -errno : -ECONNRESET));
	lane->pipe->held = (size_t)n;
	return STEP_ON;
}

static enum step
fail_fill(struct relay *relay, struct lane *lane, int err)
{
	if (err == EINVAL || err == ENOSYS)
		return fall_back(relay, 0);
	lane_from(relay, lane)->readable = false;
	return step_unless(relay_read_failed(relay, lane, -err));
}

/* Fills the empty pipe of LANE. */
static enum step
fill(struct relay *relay, struct lane *lane)
{
	struct leg *from = lane_from(relay, lane);
	ssize_t n;

	if (!lane->pipe)
		lane->pipe = pipe_pool_take(relay->shared->pool, relay->buffer);
	if (!lane->pipe)
		return fall_back(relay, RETRY_AFTER);
	n = splice(from->fd, NULL, lane->pipe->in, NULL, lane->most, FLAGS);
	if (n > 0) {
		lane->pipe->held = (size_t)n;
		return STEP_ON;
	}
	if (n < 0 && errno != EAGAIN)
		return fail_fill(relay, lane, errno);
	/* A mark that came since the last edge would look like the end. */
	if ((!n || from->urgent) && sock_at_mark(from->fd))
		return read_urgent(relay, lane);
	from->readable = false;
	return n ? STEP_WAIT : step_unless(relay_lane_ended(relay, lane));
}

/* Empties the pipe of LANE as far as the socket takes it. */
static enum step
empty(struct relay *relay, struct lane *lane)
{
	struct leg *to = lane_to(relay, lane);
	struct relay_pipe *p = lane->pipe;
	ssize_t n = splice(p->out, NULL, to->fd, NULL, p->held, FLAGS);

	if (n < 0 && errno == EAGAIN) {
		relay_leg_full(to);
		return STEP_WAIT;
	}
	if (n < 0 && (errno == EINVAL || errno == ENOSYS))
		return fall_back(relay, 0);
	if (n <= 0) {
		int err = n ? -errno : -EPIPE;

		give_back(relay, lane);
		return step_unless(relay_write_failed(relay, lane, err));
	}
	p->held -= (size_t)n;
	relay_moved(relay, lane, (size_t)n);
	if (!p->held && lane->ended)
		return step_unless(relay_lane_finished(relay, lane));
	return STEP_ON;
}

static bool
pump(struct relay *relay, struct lane *lane)
{
	uint64_t stop_at = lane->bytes + BUDGET;
	enum step step = STEP_ON;

	/* It has been told to hold less since. */
	if (relay_held(lane) > lane->most)
		step = fall_back(relay, relay->splice_after);
	while (step == STEP_ON) {
		if (lane->bytes >= stop_at) {
			relay_again(relay, lane);
			break;
		}
		if (relay_held(lane))
			step = lane_to(relay, lane)->writable
			    ? empty(relay, lane)
			    : STEP_WAIT;
		else if (lane_from(relay, lane)->readable &&
		    relay_wants(relay, lane))
			step = fill(relay, lane);
		else
			step = STEP_WAIT;
	}
	if (step == STEP_GONE)
		return true;
	if (!relay_held(lane))
		give_back(relay, lane);
	return false;
}

static void
stop(struct relay *relay)
{
	for (int i = 0; i < 2; i++)
		give_back(relay, &relay->lanes[i]);
}

const struct relay_engine relay_splice = { "splice", pump, stop };
