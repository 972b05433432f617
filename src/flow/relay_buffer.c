/*
 * The buffer engine: every flow begins here. What comes in is written
 * through to the peer at once, and only what its socket does not take
 * waits in the lane's queue. When the queue reaches lane->most, or less
 * when memory is short (relay_most), the lane stops reading; it resumes at
 * half of that.
 *
 * It stands where a bufferevent pair would: libevent 2.1 reads 4096 bytes
 * an event, takes every message through the queue, and does not see a
 * reset on a leg whose reading is off (tests/net/test_reset.py).
 */
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "flow/relay.h"
#include "flow/step.h"

/* Bytes a lane may read before other flows get their turn. */
#define BUDGET (4 * RELAY_SCRATCH)

/* A shorter read belongs to a conversation, not to a bulk transfer. */
#define SMALL_READ 4096

/* A queue keeps bytes in allocations of this size. */
#define PIECE 4096

static bool
would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/*
 * The kernel adds to the last segment that it has not sent, up to 64 KiB,
 * without a look at TCP_NOTSENT_LOWAT (tcp_sendmsg_locked): a lane that is
 * held short asks before it writes. No means that an edge will come.
 */
static bool
may_write(const struct relay *relay, const struct lane *lane, struct leg *to)
{
	if (to->writable && lane->most < relay->buffer &&
	    !sock_is_writable(to->fd))
		relay_leg_full(to);
	return to->writable;
}

/* Writes what waits in LANE's queue. */
static enum step
flush(struct relay *relay, struct lane *lane)
{
	struct leg *to = lane_to(relay, lane);
	size_t before = relay_held(lane);
	int n;

	if (!may_write(relay, lane, to))
		return STEP_ON; /* there may be room to read */
	n = evbuffer_write(lane->queue, to->fd);
	if (n < 0 && would_block()) {
		if (errno == EAGAIN)
			relay_leg_full(to);
		return STEP_ON; /* there may be room to read */
	}
	if (n < 0)
		return step_unless(relay_write_failed(relay, lane, -errno));
	relay_hold_queue(relay->shared, before, relay_held(lane));
	relay_moved(relay, lane, (size_t)n);
	if (!relay_held(lane) && lane->ended)
		return step_unless(relay_lane_finished(relay, lane));
	return STEP_ON;
}

static void
on_delivered(const void *data, size_t n, void *arg)
{
	(void)n;
	(void)arg;
	free((void *)(uintptr_t)data);
}

/*
 * libevent rounds what it allocates up to a power of two, twice the bytes at
 * worst, and keeps it until the last of them is written: so make small ones
 * of the right size. 0 or -1.
 */
static int
append(struct evbuffer *queue, const char *data, size_t n)
{
	size_t part = n < PIECE ? n : PIECE;
	char *copy;

	if (n < SMALL_READ)
		return evbuffer_add(queue, data, n);
	copy = malloc(part);
	if (!copy)
		return -1;
	memcpy(copy, data, part);
	if (evbuffer_add_reference(queue, copy, part, on_delivered, NULL)) {
		free(copy);
		return -1;
	}
	return append(queue, data + part, n - part);
}

/* Keeps N bytes for later. */
static enum step
enqueue(struct relay *relay, struct lane *lane, const char *data, size_t n)
{
	size_t before = relay_held(lane);
	bool kept;

	if (!lane->queue)
		lane->queue = evbuffer_new();
	kept = lane->queue && !append(lane->queue, data, n);
	relay_hold_queue(relay->shared, before, relay_held(lane));
	if (kept)
		return STEP_ON;
	relay_lost(relay, -ENOMEM);
	return STEP_GONE;
}

/*
 * Writes N bytes through. LAST: the FIN follows at once, so let it travel
 * in the same segment (MSG_MORE, tcp(7)).
 */
static enum step
deliver(struct relay *relay, struct lane *lane, const char *data, size_t n,
    bool last)
{
	struct leg *to = lane_to(relay, lane);
	ssize_t sent = 0;
	bool full = true;

	if (!relay_held(lane) && may_write(relay, lane, to)) {
		sent =
		    send(to->fd, data, n, MSG_NOSIGNAL | (last ? MSG_MORE : 0));
		full = sent >= 0 || errno != EINTR;
		if (sent < 0 && !would_block())
			return step_unless(
			    relay_write_failed(relay, lane, -errno));
		if (sent > 0)
			relay_moved(relay, lane, (size_t)sent);
		else
			sent = 0;
	}
	if ((size_t)sent == n)
		return STEP_ON;
	if (full)
		relay_leg_full(to);
	return enqueue(relay, lane, data + sent, n - (size_t)sent);
}

/* A small read, unless splice_after is smaller still, ends a burst. */
static void
count_burst(const struct relay *relay, struct lane *lane, size_t n)
{
	if (n < SMALL_READ && n < relay->splice_after)
		lane->burst = 0;
	else
		lane->burst += n;
}

/*
 * A short read leaves nothing behind, so that no second one need say so,
 * unless a mark or an error stands in between.
 */
static enum step
take(struct relay *relay, struct lane *lane, size_t room, size_t n)
{
	struct leg *from = lane_from(relay, lane);
	bool drained = n < room && !from->urgent && !from->error;
	bool last = drained && from->hung_up;
	enum step step;

	if (drained)
		from->readable = false;
	count_burst(relay, lane, n);
	step = deliver(relay, lane, relay->shared->scratch, n, last);
	if (last && step != STEP_GONE && !lane->ended)
		return step_unless(relay_lane_ended(relay, lane));
	return step;
}

static enum step
fill(struct relay *relay, struct lane *lane, size_t room)
{
	struct leg *from = lane_from(relay, lane);
	ssize_t n = recv(from->fd, relay->shared->scratch, room, 0);

	if (n > 0)
		return take(relay, lane, room, (size_t)n);
	if (n < 0 && errno == EINTR)
		return STEP_ON;
	from->readable = false;
	if (n < 0 && errno == EAGAIN)
		return STEP_WAIT;
	/* An error that a write has taken away reads as an end. */
	return step_unless(n ? relay_read_failed(relay, lane, -errno)
			     : relay_lane_ended(relay, lane));
}

static bool
is_bulk(const struct relay *relay, const struct lane *lane)
{
	return relay->splice_after && lane->burst >= relay->splice_after;
}

/*
 * A bulk lane goes over to splice(2) once neither lane holds anything, but
 * not while it is held short, when may_write asks before each write.
 */
static bool
may_splice(const struct relay *relay, const struct lane *lane)
{
	return is_bulk(relay, lane) && lane->most == relay->buffer &&
	    !relay_held(&relay->lanes[RELAY_UP]) &&
	    !relay_held(&relay->lanes[RELAY_DOWN]) &&
	    !relay->legs[RELAY_CLIENT].failed &&
	    !relay->legs[RELAY_SERVER].failed;
}

/* Bytes that LANE may read now; 0 while its queue is too full. */
static size_t
room_in(const struct relay *relay, struct lane *lane)
{
	size_t held = relay_held(lane), most = relay_most(relay, lane);
	size_t room = most - held;
	/* A bulk lane runs dry first, so that it can be handed over. */
	bool leaves = is_bulk(relay, lane) && lane->most == relay->buffer;
	size_t low = leaves ? 0 : most / 2;

	if (held >= most)
		lane->paused = true;
	else if (held <= low)
		lane->paused = false;
	if (lane->paused)
		return 0;
	return room < RELAY_SCRATCH ? room : RELAY_SCRATCH;
}

static bool
pump(struct relay *relay, struct lane *lane)
{
	uint64_t stop_at = lane->bytes + BUDGET;
	enum step step = STEP_ON;

	while (step == STEP_ON) {
		struct leg *from = lane_from(relay, lane);
		size_t room;

		if (lane->bytes >= stop_at) {
			relay_again(relay, lane);
			return false;
		}
		if (may_splice(relay, lane)) {
			relay_switch(relay, &relay_splice);
			return true;
		}
		if (relay_held(lane) && lane_to(relay, lane)->writable) {
			step = flush(relay, lane);
			continue;
		}
		room = room_in(relay, lane);
		if (!room || !from->readable || !relay_wants(relay, lane))
			return false;
		step = fill(relay, lane, room);
	}
	return step == STEP_GONE;
}

static void
stop(struct relay *relay)
{
	(void)relay; /* what the queues hold is the relay's */
}

const struct relay_engine relay_buffer = { "buffer", pump, stop };
