/*
 * The buffer engine: every flow begins here. What comes in is written
 * through to the peer at once, and only what its socket does not take
 * waits in the lane's queue. When the queue reaches relay->buffer the lane
 * stops reading; it resumes at half of that.
 *
 * It stands where a bufferevent pair would: libevent 2.1 reads 4096 bytes
 * an event, takes every message through the queue, and does not see a
 * reset on a leg whose reading is off (tests/net/test_reset.py).
 */
#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>

#include "flow/relay.h"
#include "flow/step.h"

/* Bytes a lane may read before other flows get their turn. */
#define BUDGET (4 * RELAY_SCRATCH)

/* A shorter read belongs to a conversation, not to a bulk transfer. */
#define SMALL_READ 4096

static bool
would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* Writes what waits in LANE's queue. */
static enum step
flush(struct relay *relay, struct lane *lane)
{
	struct leg *to = lane_to(relay, lane);
	int n = evbuffer_write(lane->queue, to->fd);

	if (n < 0 && would_block()) {
		if (errno == EAGAIN)
			relay_leg_full(to);
		return STEP_ON; /* there may be room to read */
	}
	if (n < 0)
		return step_unless(relay_write_failed(relay, lane, -errno));
	relay_moved(relay, lane, (size_t)n);
	if (!relay_held(lane) && lane->ended)
		return step_unless(relay_lane_finished(relay, lane));
	return STEP_ON;
}

/* Keeps N bytes for later. */
static enum step
enqueue(struct relay *relay, struct lane *lane, const char *data, size_t n)
{
	if (!lane->queue)
		lane->queue = evbuffer_new();
	if (lane->queue && !evbuffer_add(lane->queue, data, n))
		return STEP_ON;
	/* Bytes that cannot be kept: neither leg may see a FIN. */
	relay->failed_error = -ENOMEM;
	lane_to(relay, lane)->failed = true;
	relay_leg_failed(lane_from(relay, lane), -ENOMEM);
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

	if (!relay_held(lane)) {
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

/* A bulk lane goes over to splice(2) once neither lane holds anything. */
static bool
may_splice(const struct relay *relay, const struct lane *lane)
{
	return is_bulk(relay, lane) && !relay_held(&relay->lanes[RELAY_UP]) &&
	    !relay_held(&relay->lanes[RELAY_DOWN]) &&
	    !relay->legs[RELAY_CLIENT].failed &&
	    !relay->legs[RELAY_SERVER].failed;
}

/* Bytes that LANE may read now; 0 while its queue is too full. */
static size_t
room_in(const struct relay *relay, struct lane *lane)
{
	size_t held = relay_held(lane), room = relay->buffer - held;
	/* A bulk lane runs dry first, so that it can be handed over. */
	size_t low = is_bulk(relay, lane) ? 0 : relay->buffer / 2;

	if (held >= relay->buffer)
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
