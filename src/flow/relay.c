#include "flow/relay.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>

#include "base/clock.h"
#include "base/sock.h"
#include "flow/pipe_pool.h"

static void on_ready(struct poll_entry *entry, uint32_t events);

void
relay_init(struct relay *relay, struct relay_shared *shared, uint32_t buffer,
    uint64_t splice_after)
{
	relay->shared = shared;
	relay->buffer = buffer;
	relay->splice_after = splice_after;
	for (int i = 0; i < 2; i++) {
		relay->legs[i].relay = relay;
		relay->legs[i].fd = -1;
		relay->moved[i] = &shared->moved[i];
	}
}

int
relay_attach(struct relay *relay, int fd)
{
	struct leg *leg = &relay->legs[RELAY_CLIENT];

	leg->fd = fd;
	leg->entry.on_ready = on_ready;
	return poller_add(
	    relay->shared->poller, fd, &leg->entry, POLLER_STREAM);
}

static void
free_queue(struct relay *relay, struct lane *lane)
{
	if (!lane->queue)
		return;
	relay_hold_queue(relay->shared, evbuffer_get_length(lane->queue), 0);
	evbuffer_free(lane->queue);
	lane->queue = NULL;
}

void
relay_stop(struct relay *relay)
{
	for (int i = 0; i < 2; i++)
		poller_forget(&relay->legs[i].entry);
	if (relay->engine)
		relay->engine->stop(relay);
	relay->engine = NULL;
	for (int i = 0; i < 2; i++)
		free_queue(relay, &relay->lanes[i]);
}

static void
report(struct relay *relay, enum relay_outcome outcome)
{
	relay->shared->on_outcome(relay, outcome);
}

/* --- what the sockets say ------------------------------------------ */

static void
note_room(struct leg *leg)
{
	leg->writable = true;
	if (!leg->full_since_ms)
		return;
	leg->full_ms += clock_coarse_ms() - leg->full_since_ms;
	leg->full_since_ms = 0;
}

static void
note(struct leg *leg, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		leg->readable = true;
	if (events & EPOLLOUT)
		note_room(leg);
	if (events & EPOLLRDHUP)
		leg->hung_up = true;
	if (events & (EPOLLERR | EPOLLHUP))
		leg->error = true;
	if (events & EPOLLPRI)
		leg->urgent = true;
}

/*
 * A leg that is not read, because its lane is blocked or has ended, does
 * not tell of its end by a call that fails.
 */
static bool
look_for_failure(struct leg *leg)
{
	return !leg->failed && sock_is_dead(leg->fd) &&
	    relay_leg_failed(leg, -ECONNRESET);
}

static void
on_ready(struct poll_entry *entry, uint32_t events)
{
	struct leg *leg =
	    (struct leg *)((char *)entry - offsetof(struct leg, entry));
	struct relay *relay = leg->relay;

	note(leg, events);
	if (relay->engine) {
		if (relay->engine->pump(relay, leg_out(leg)))
			return;
		if ((events & EPOLLOUT) && relay_held(leg_in(leg)) &&
		    relay->engine->pump(relay, leg_in(leg)))
			return;
	}
	if (events & (EPOLLERR | EPOLLHUP))
		look_for_failure(leg);
}

/* True when the relay is over, or has another engine by now. */
static bool
run(struct relay *relay)
{
	return relay->engine->pump(relay, &relay->lanes[RELAY_UP]) ||
	    relay->engine->pump(relay, &relay->lanes[RELAY_DOWN]);
}

void
relay_start(struct relay *relay, uint32_t events, int err)
{
	struct leg *server = &relay->legs[RELAY_SERVER];

	relay->active_ms = clock_coarse_ms();
	relay->engine = &relay_buffer;
	for (int i = 0; i < 2; i++)
		if (!relay->lanes[i].most)
			relay->lanes[i].most = relay->buffer;
	server->entry.on_ready = on_ready;
	note(server, events);
	if (!err || !relay_leg_failed(server, err))
		run(relay);
}

void
relay_switch(struct relay *relay, const struct relay_engine *engine)
{
	relay->engine->stop(relay);
	for (int i = 0; i < 2; i++)
		if (!relay_held(&relay->lanes[i]))
			free_queue(relay, &relay->lanes[i]);
	relay->engine = engine;
	if (run(relay))
		return;
	/* An edge that told of it may have brought the change about. */
	for (int i = 0; i < 2; i++)
		if (relay->legs[i].error && look_for_failure(&relay->legs[i]))
			return;
}

void
relay_again(struct relay *relay, struct lane *lane)
{
	poller_again(relay->shared->poller, &lane_from(relay, lane)->entry);
}

void
relay_relieve(struct relay *relay, struct lane *lane, uint32_t bytes)
{
	size_t most = relay_held(lane) + bytes;

	lane->most = most < relay->buffer ? (uint32_t)most : relay->buffer;
	lane->paused = false;
	relay_again(relay, lane);
}

void
relay_leg_full(struct leg *leg)
{
	leg->writable = false;
	if (!leg->full_since_ms)
		leg->full_since_ms = clock_coarse_ms();
}

uint64_t
relay_full_ms(const struct leg *leg)
{
	int64_t since = leg->full_since_ms;

	return (
	    uint64_t)(leg->full_ms + (since ? clock_coarse_ms() - since : 0));
}

/* --- memory -------------------------------------------------------- */

size_t
relay_memory_left(const struct relay_shared *shared)
{
	size_t most = shared->memory_most,
	       held = atomic_load_explicit(
		   &shared->stats->memory_held, memory_order_relaxed);

	if (!most)
		return SIZE_MAX;
	return most > held ? most - held : 0;
}

size_t
relay_most(const struct relay *relay, const struct lane *lane)
{
	size_t left = relay_memory_left(relay->shared);
	size_t held = relay_held(lane), most;

	if (left >= lane->most)
		return lane->most;
	if (held < RELAY_LEAST)
		held = RELAY_LEAST;
	/* No reads of a few bytes each. */
	most = left < RELAY_LEAST ? RELAY_LEAST : held + left;
	return most < lane->most ? most : lane->most;
}

/* --- the lanes ----------------------------------------------------- */

size_t
relay_held(const struct lane *lane)
{
	return (lane->queue ? evbuffer_get_length(lane->queue) : 0) +
	    (lane->pipe ? lane->pipe->held : 0);
}

bool
relay_wants(struct relay *relay, struct lane *lane)
{
	return !lane->ended && !lane_to(relay, lane)->failed;
}

void
relay_moved(struct relay *relay, struct lane *lane, size_t n)
{
	lane->bytes += n;
	stats_add(relay->moved[lane - relay->lanes], n);
	relay->active_ms = clock_coarse_ms();
	if (relay->rests) {
		relay->rests = false;
		report(relay, RELAY_WOKEN);
	}
}

/* The leg that failed, or NULL. */
static const struct leg *
failed_leg(const struct relay *relay)
{
	for (int i = 0; i < 2; i++)
		if (relay->legs[i].failed)
			return &relay->legs[i];
	return NULL;
}

/* Likewise, of a relay that flushes: one of them did. */
static const struct leg *
dead_leg(const struct relay *relay)
{
	const struct leg *dead = failed_leg(relay);

	assert(dead);
	return dead;
}

static bool
end_if_flushed(struct relay *relay)
{
	if (!relay_flushed(relay))
		return false;
	report(relay, RELAY_FAILED);
	return true;
}

bool
relay_lane_finished(struct relay *relay, struct lane *lane)
{
	struct lane *other = &relay->lanes[lane == &relay->lanes[0]];
	int err;

	if (failed_leg(relay))
		return end_if_flushed(relay);
	if (lane->finished)
		return false;
	lane->finished = true;
	if (other->finished) {
		/* Closing says FIN as well, and saves a call. */
		report(relay, RELAY_FINISHED);
		return true;
	}
	relay->first_finished = (enum relay_lane)(lane - relay->lanes);
	err = sock_shut_write(lane_to(relay, lane)->fd);
	if (err) /* -ENOTCONN: it was reset a moment ago */
		return relay_write_failed(relay, lane, err);
	report(relay, RELAY_HALF_CLOSED);
	return false;
}

bool
relay_lane_ended(struct relay *relay, struct lane *lane)
{
	lane->ended = true;
	return !relay_held(lane) && relay_lane_finished(relay, lane);
}

/* --- failure ------------------------------------------------------- */

bool
relay_leg_failed(struct leg *leg, int err)
{
	struct relay *relay = leg->relay;

	bool alone = failed_leg(relay) || !relay->engine;

	if (leg->failed)
		return false;
	leg->failed = true;
	if (!relay->failed_error) {
		relay->failed_error = err;
		relay->first_failed = leg_side(leg);
	}
	if (alone) {
		/* Nobody is left, or not yet there, to deliver to. */
		report(relay, RELAY_FAILED);
		return true;
	}
	if (end_if_flushed(relay))
		return true;
	report(relay, RELAY_FAILING);
	return false;
}

bool
relay_read_failed(struct relay *relay, struct lane *lane, int err)
{
	struct leg *from = lane_from(relay, lane);

	if (from->failed) /* and this was the last of what it had sent */
		return relay_lane_ended(relay, lane);
	lane->ended = true;
	return relay_leg_failed(from, err);
}

bool
relay_write_failed(struct relay *relay, struct lane *lane, int err)
{
	struct leg *to = lane_to(relay, lane);

	free_queue(relay, lane);
	lane->ended = true;
	/* What the failed leg sent before still goes to the other one. */
	to->readable = to->error = true;
	if (relay_leg_failed(to, err))
		return true;
	relay_again(relay, leg_out(to));
	return false;
}

void
relay_lost(struct relay *relay, int err)
{
	relay->failed_error = err;
	for (int i = 0; i < 2; i++)
		relay->legs[i].failed = true;
	report(relay, RELAY_FAILED);
}

bool
relay_flushed(const struct relay *relay)
{
	const struct leg *dead = dead_leg(relay);
	const struct lane *out = &relay->lanes[leg_side(dead)];

	return out->ended && !relay_held(out) &&
	    !sock_unacked(relay->legs[!leg_side(dead)].fd);
}

uint64_t
relay_flush_progress(const struct relay *relay)
{
	const struct leg *dead = dead_leg(relay);

	return relay->lanes[leg_side(dead)].bytes -
	    sock_unacked(relay->legs[!leg_side(dead)].fd);
}
