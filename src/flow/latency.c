#include "flow/latency.h"

#include "base/clock.h"
#include "base/sock.h"
#include "flow/relay.h"

/* Between two looks: while something changes, and when all is settled. */
#define HURRY_MS 50
#define SETTLED_MS 200

/*
 * The least that each part needs to work with, whatever the rate, and what
 * all of them share until there is one.
 */
#define PART_LEAST 4096
#define SEGMENTS_LEAST 4
#define ROOM_AT_FIRST (128 << 10)

/* A lane whose receive buffer may be as large as this needs no bound. */
#define WINDOW_MOST (4 << 20)

/* Memory that the kernel counts for 256 bytes, until it is seen. */
#define COST_AT_FIRST 512
#define COST_MOST 2048
#define COST_SAMPLE (8 << 10)

static uint32_t
within(uint64_t value, uint32_t least, uint64_t most)
{
	if (value > most)
		value = most;
	return value < least ? least : (uint32_t)value;
}

/*
 * Unsent bytes and the relay's get an eighth each, and what is unread a
 * half, since it is also what refills the others; the rest is for writes
 * that overshoot. The window must hold what is on its way as well: as much
 * as the sending leg takes in a round trip of the receiving one. When
 * nothing waits it may be the window that is too small, so it doubles.
 */
void
latency_divide(struct latency_share *share)
{
	uint64_t room = share->rate
	    ? share->rate * (uint64_t)share->bound_ms / 1000
	    : ROOM_AT_FIRST;
	uint64_t under_way = share->rate * share->rtt_us / 1000000;
	uint64_t window = room / 2 + (share->waits ? 1 : 2) * under_way;

	share->unsent = share->held = within(room / 8, PART_LEAST, UINT32_MAX);
	share->window = window > WINDOW_MOST
	    ? 0
	    : within(window, SEGMENTS_LEAST * share->mss, WINDOW_MOST);
}

/* --- one lane ------------------------------------------------------ */

/* What the look found. */
struct look {
	struct sock_info info[2];	/* by enum relay_side */
	struct sock_receive receive[2]; /* likewise */
	bool changed;
};

/*
 * The kernel's sample comes from one round trip. One that its sender could
 * not fill says only that the path carries this much, and the kernel keeps
 * it when it is above the last (tcp_rate_gen): so believe a rise at once
 * and a fall slowly.
 */
static void
follow_rate(struct latency_lane *lane, const struct sock_info *to)
{
	uint64_t now = to->delivery_rate / 8;

	lane->rate -= lane->rate / 8;
	if (now > lane->rate)
		lane->rate = now;
}

/* Segments of all sizes differ in what they cost the kernel to keep. */
static void
follow_cost(struct latency_lane *lane, const struct sock_receive *receive)
{
	uint64_t cost;

	if (!lane->cost)
		lane->cost = COST_AT_FIRST;
	if (receive->unread < COST_SAMPLE)
		return;
	cost = 256 * (uint64_t)receive->used / receive->unread;
	lane->cost = (3 * lane->cost + within(cost, 256, COST_MOST)) / 4;
}

static bool
far_from(uint32_t value, uint32_t wanted)
{
	return wanted < value - value / 4 || wanted > value + value / 4;
}

/*
 * The receive buffer of LEG. It grows at once. It shrinks by a half at
 * most: what the peer was offered before may still come, and finds no room
 * if the buffer is full and much smaller now.
 */
static void
set_window(struct latency_lane *lane, const struct leg *leg,
    const struct sock_receive *receive, uint32_t window, struct look *look)
{
	uint32_t now = lane->window;
	uint32_t memory;

	if (!now) /* the kernel's */
		now = (uint32_t)(256 * (uint64_t)receive->size / lane->cost);
	if (window ? !far_from(now, window) : !lane->window)
		return;
	look->changed = true;
	memory = window ? window : WINDOW_MOST;
	if (memory < now / 2)
		memory = window = now / 2;
	memory = (uint32_t)((uint64_t)memory * lane->cost / 256);
	if (sock_bound_receive(leg->fd, memory, window ? window : WINDOW_MOST))
		return;
	/* Before Linux 5.14 it keeps this size. */
	if (!window && sock_release_receive(leg->fd))
		return;
	lane->window = window;
}

static void
set_unsent(struct latency_lane *lane, const struct leg *leg, uint32_t unsent,
    struct look *look)
{
	if (!far_from(lane->unsent, unsent))
		return;
	look->changed = true;
	if (!sock_bound_unsent(leg->fd, unsent))
		lane->unsent = unsent;
}

static void
settle(struct latency *latency, struct relay *relay, enum relay_lane i,
    struct look *look)
{
	struct latency_lane *mine = &latency->lanes[i];
	struct lane *lane = &relay->lanes[i];
	uint32_t most = latency->unsent_most[!i];
	uint64_t waiting =
	    look->receive[i].unread + relay_held(lane) + look->info[!i].unsent;
	struct latency_share share = {
		.bound_ms = latency->bound_ms,
		.rtt_us = look->info[i].min_rtt_us,
		.mss = look->info[i].advmss,
	};

	follow_rate(mine, &look->info[!i]);
	follow_cost(mine, &look->receive[i]);
	share.rate = mine->rate;
	share.waits = 4000 * waiting >= mine->rate * (uint64_t)share.bound_ms;
	latency_divide(&share);
	lane->most = within(share.held, PART_LEAST, relay->buffer);
	set_unsent(mine, &relay->legs[!i],
	    most && most < share.unsent ? most : share.unsent, look);
	if (!latency->fixed[i])
		set_window(mine, &relay->legs[i], &look->receive[i],
		    share.window, look);
}

/* --- both ---------------------------------------------------------- */

/* True when a byte has moved since the last look. */
static bool
has_moved(struct latency *latency, const struct relay *relay)
{
	bool moved = false;

	for (int i = 0; i < 2; i++) {
		moved |= latency->lanes[i].moved != relay->lanes[i].bytes;
		latency->lanes[i].moved = relay->lanes[i].bytes;
	}
	return moved;
}

void
latency_look(struct latency *latency, struct relay *relay)
{
	bool first = !latency->lanes[0].cost;
	struct look look = { .changed = false };

	if (!has_moved(latency, relay) && !first) {
		latency->look_ms = 0;
		relay->rests = true;
		return;
	}
	for (int i = 0; i < 2; i++) {
		sock_info(relay->legs[i].fd, &look.info[i]);
		sock_receive(relay->legs[i].fd, &look.receive[i]);
	}
	settle(latency, relay, RELAY_UP, &look);
	settle(latency, relay, RELAY_DOWN, &look);
	latency->look_ms = clock_ms() + (look.changed ? HURRY_MS : SETTLED_MS);
}
