#include "flow/latency.h"

#include <errno.h>

#include "base/clock.h"
#include "base/sock.h"
#include "flow/relay.h"

/* Between two looks: while something changes, and when all is settled. */
#define HURRY_MS 50
#define SETTLED_MS 200

/*
 * A window shrinks when a queue has stood and it was too large for so long.
 * Without a queue it harms nobody, and a rate that a few small messages gave
 * would leave it too small for what comes after them.
 */
#define SHRINK_AFTER_MS 1000

/* The least that each part needs to work with, whatever the rate. */
#define PART_LEAST 4096
#define SEGMENTS_LEAST 4

/* Until there is a rate; the window is what the kernel begins with, too. */
#define UNSENT_AT_FIRST (32 << 10)
#define HELD_AT_FIRST (16 << 10)
#define WINDOW_AT_FIRST (64 << 10)

/* A lane whose receive buffer may be as large as this needs no bound. */
#define WINDOW_MOST (4 << 20)

/* A leg that gathers speed sends at so many times its rate. */
#define PACING_MOST 4

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
 * A quarter for what is unsent, which must last until the relay has woken,
 * an eighth for the relay, a quarter for what is unread; the rest is for what
 * goes beyond. The window must hold what is under way as well, and so
 * much of it as the sending leg would take: BBR takes nearly thrice what
 * the path carries to find out what that is, and never does while it runs
 * dry (HACKING, `A lossy link'). When no queue stands it may be the window
 * that is too small, so it grows. Of a way of unknown length nobody knows
 * what is under way: a SYN came twice, without timestamps.
 */
void
latency_divide(struct latency_share *share)
{
	uint64_t rate = share->rate, pacing = share->pacing;
	uint64_t ms = (uint64_t)share->bound_ms, room, window;

	if (!rate) {
		share->unsent = UNSENT_AT_FIRST;
		share->held = HELD_AT_FIRST;
		share->window = within(
		    WINDOW_AT_FIRST, SEGMENTS_LEAST * share->mss, WINDOW_MOST);
		return;
	}
	if (pacing < rate)
		pacing = rate;
	if (pacing > PACING_MOST * rate)
		pacing = PACING_MOST * rate;
	room = rate * ms / 1000;
	window = room / 4 + (pacing + share->drawn) * share->rtt_us / 1000000;
	share->unsent =
	    within((rate + pacing) / 2 * ms / 4000, PART_LEAST, UINT32_MAX);
	share->held = within(room / 8, PART_LEAST, UINT32_MAX);
	share->window = window > WINDOW_MOST || !share->rtt_us
	    ? 0
	    : within(window, SEGMENTS_LEAST * share->mss, WINDOW_MOST);
}

/* --- one lane ------------------------------------------------------ */

/* What a look found of the two legs, by enum relay_side. */
struct look {
	struct sock_info info[2];
	struct sock_receive receive[2];
	int64_t now, span; /* ms; SPAN since the last look */
	bool changed;
};

/*
 * The kernel's sample comes from one round trip. One that its sender could
 * not fill says only that the path carries this much, and the kernel keeps
 * it when it is above the last (tcp_rate_gen): so believe a rise at once
 * and a fall slowly.
 */
static void
follow_rate(struct latency_lane *mine, const struct sock_info *to)
{
	uint64_t now = to->delivery_rate / 8;

	mine->rate -= mine->rate / 8;
	if (now > mine->rate)
		mine->rate = now;
}

/* Segments of all sizes differ in what they cost the kernel to keep. */
static void
follow_cost(struct latency_lane *mine, const struct sock_receive *receive)
{
	uint64_t cost;

	if (!mine->cost)
		mine->cost = COST_AT_FIRST;
	if (receive->unread < COST_SAMPLE)
		return;
	cost = 256 * (uint64_t)receive->used / receive->unread;
	mine->cost = (3 * mine->cost + within(cost, 256, COST_MOST)) / 4;
}

/* Bytes a second that moved since the last look, if no queue stood. */
static uint64_t
follow_drawn(struct latency_lane *mine, const struct lane *lane,
    uint64_t waiting, int64_t bound_ms, const struct look *look)
{
	/* A message on its way is no queue, however slow the lane seems. */
	bool waits = waiting >= PART_LEAST &&
	    4000 * waiting >= mine->rate * (uint64_t)bound_ms;
	uint64_t moved = lane->bytes - mine->moved;
	bool free = !waits && !mine->waited && look->span;

	mine->waited = waits;
	mine->moved = lane->bytes;
	return free ? 1000 * moved / (uint64_t)look->span : 0;
}

/*
 * The receive buffer of LEG for WINDOW bytes; 0: as large as the kernel
 * likes, and large enough for it to see that more would be used.
 */
static void
size_window(struct latency_lane *mine, const struct leg *leg, uint32_t window)
{
	uint32_t size = window ? window : WINDOW_MOST;
	uint64_t memory = (uint64_t)size * mine->cost / 256;
	int err = sock_bound_receive(leg->fd, (uint32_t)memory, size);

	if (err == -EPERM)
		mine->fixed = true;
	if (err)
		return;
	/* Before Linux 5.14 it keeps this size. */
	if (!window && sock_release_receive(leg->fd))
		return;
	mine->window = window;
}

/*
 * What the peer was offered may still come, and is dropped where it finds
 * the buffer full: so the relay takes what the smaller one has no room for,
 * and that is at most what is left of its buffer.
 */
static void
shrink_window(struct latency_lane *mine, struct relay *relay, struct lane *lane,
    uint32_t unread, uint32_t window)
{
	uint32_t room = window - window / 4, held = (uint32_t)relay_held(lane);
	uint32_t space = held < relay->buffer ? relay->buffer - held : 0;

	if (unread > room + space) {
		room = unread - space;
		window = room + room / 3;
	}
	size_window(mine, lane_from(relay, lane), window);
	if (unread > room)
		relay_relieve(relay, lane, unread - room);
}

static void
set_window(struct latency_lane *mine, struct relay *relay, struct lane *lane,
    uint32_t window, struct look *look)
{
	const struct sock_receive *receive =
	    &look->receive[lane - relay->lanes];
	uint32_t now = mine->window;
	bool large;

	if (!now && !window)
		return;
	if (!now) /* the kernel's */
		now = (uint32_t)(256 * (uint64_t)receive->size / mine->cost);
	large = mine->waited && window && window < now - now / 4;
	if (!large)
		mine->large_ms = 0;
	else if (!mine->large_ms)
		mine->large_ms = look->now;
	if (large && look->now - mine->large_ms >= SHRINK_AFTER_MS) {
		shrink_window(mine, relay, lane, receive->unread, window);
		mine->large_ms = 0;
	} else if (!window || window > now + now / 16) {
		size_window(mine, lane_from(relay, lane), window);
		look->changed = true;
	}
}

static void
set_unsent(struct latency_lane *mine, const struct leg *leg, uint32_t unsent,
    struct look *look)
{
	uint32_t now = mine->unsent;

	if (unsent >= now - now / 4 && unsent <= now + now / 4)
		return;
	look->changed = true;
	if (!sock_bound_unsent(leg->fd, unsent))
		mine->unsent = unsent;
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
		.pacing = look->info[!i].pacing_rate / 8,
	};

	follow_rate(mine, &look->info[!i]);
	follow_cost(mine, &look->receive[i]);
	share.rate = mine->rate;
	share.drawn =
	    follow_drawn(mine, lane, waiting, latency->bound_ms, look);
	latency_divide(&share);
	lane->most = within(share.held, PART_LEAST, relay->buffer);
	set_unsent(mine, &relay->legs[!i],
	    most && most < share.unsent ? most : share.unsent, look);
	if (!mine->fixed)
		set_window(mine, relay, lane, share.window, look);
}

/* --- both ---------------------------------------------------------- */

static bool
has_moved(const struct latency *latency, const struct relay *relay)
{
	for (int i = 0; i < 2; i++)
		if (latency->lanes[i].moved != relay->lanes[i].bytes)
			return true;
	return false;
}

void
latency_look(struct latency *latency, struct relay *relay)
{
	int64_t last = latency->looked_ms;
	struct look look = { .now = clock_ms() };

	if (last && !has_moved(latency, relay)) {
		latency->look_ms = 0;
		relay->rests = true;
		return;
	}
	if (last)
		look.span = look.now - last;
	for (int i = 0; i < 2; i++) {
		sock_info(relay->legs[i].fd, &look.info[i]);
		sock_receive(relay->legs[i].fd, &look.receive[i]);
	}
	settle(latency, relay, RELAY_UP, &look);
	settle(latency, relay, RELAY_DOWN, &look);
	latency->looked_ms = look.now;
	latency->look_ms = look.now + (look.changed ? HURRY_MS : SETTLED_MS);
}

void
latency_wake(struct latency *latency)
{
	latency->looked_ms = clock_ms(); /* the rest was no time to move in */
	latency->look_ms = latency->looked_ms + HURRY_MS;
}
