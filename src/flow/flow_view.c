#include "flow/flow_view.h"

#include <string.h>

#include "base/clock.h"

/* A rate is taken anew after so long; sooner it would be noise. */
#define PACE_MS 500

/* So many flows that do not pass the filter end a call, too. */
#define SCAN 1024

const char *
flow_state_word(enum flow_state state)
{
	static const char *const words[FLOW_STATES] = {
		[FLOW_DIALLING] = "dialling",
		[FLOW_OPEN] = "open",
		[FLOW_HALF_CLOSED] = "half-closed",
		[FLOW_FLUSHING] = "flushing",
		[FLOW_CLOSED] = "closed",
	};

	return words[state];
}

const char *
flow_limit_word(enum flow_limit limit)
{
	static const char *const words[] = {
		[FLOW_LIMIT_APPLICATION] = "application",
		[FLOW_LIMIT_READING] = "reading",
		[FLOW_LIMIT_SENDING] = "sending",
		[FLOW_LIMIT_RECEIVE_WINDOW] = "receive-window",
	};

	return words[limit];
}

/* True when one more segment would not fit what the peer has offered. */
static bool
window_is_full(const struct sock_info *info)
{
	uint64_t next = ((uint64_t)info->unacked + 1) * info->mss;

	if (info->has_window)
		return next > info->window;
	return 2 * info->rwnd_limited_us > info->busy_us;
}

static enum flow_limit
limit_of(const struct flow_view_leg *leg)
{
	if (leg->queued || leg->info.unsent)
		return window_is_full(&leg->info) ? FLOW_LIMIT_RECEIVE_WINDOW
						  : FLOW_LIMIT_SENDING;
	return leg->unread ? FLOW_LIMIT_READING : FLOW_LIMIT_APPLICATION;
}

static void
look_at_leg(
    struct flow_view_leg *view, const struct leg *leg, const struct lane *in)
{
	view->there = leg->fd >= 0;
	if (!view->there)
		return;
	sock_congestion(leg->fd, view->cc);
	sock_info(leg->fd, &view->info);
	/* A leg that was read dry holds nothing, and need not be asked. */
	if (leg->readable)
		view->unread = (uint32_t)sock_unread(leg->fd);
	view->queued = relay_held(in);
	view->limit = limit_of(view);
}

void
flow_take_pace(struct flow *flow, int64_t now)
{
	struct flow_pace *pace = &flow->pace;
	int64_t ms = now - (pace->at_ms ? pace->at_ms : flow->opened_ms);

	if (pace->at_ms && ms < PACE_MS)
		return;
	for (int i = 0; i < 2; i++) {
		uint64_t bytes = flow->relay.lanes[i].bytes;

		pace->rates[i] =
		    (bytes - pace->bytes[i]) * 8000 / (uint64_t)(ms ? ms : 1);
		pace->bytes[i] = bytes;
	}
	pace->at_ms = now;
}

/* What is to be had without a call to the kernel. */
static struct flow_view
plain_view(const struct flow *flow, int64_t now)
{
	const struct relay *relay = &flow->relay;

	return (struct flow_view){
		.policy = flow->policy,
		.id = flow->id,
		.src = flow->src,
		.dst = flow->dst,
		.bytes = {
			relay->lanes[RELAY_UP].bytes,
			relay->lanes[RELAY_DOWN].bytes,
		},
		.age_ms = now - flow->opened_ms,
		.connect_ms = flow->connected_ms
		    ? flow->connected_ms - flow->opened_ms
		    : 0,
		.state = flow->state,
		.engine = relay->engine ? relay->engine->name : "-",
	};
}

void
flow_look_at(struct flow_view *view, struct flow *flow, int64_t now)
{
	const struct relay *relay = &flow->relay;
	int64_t active = relay->active_ms;

	flow_take_pace(flow, now);
	*view = plain_view(flow, now);
	view->idle_ms = now - (active ? active : flow->opened_ms);
	if (view->idle_ms < 0) /* active_ms is of the coarse clock */
		view->idle_ms = 0;
	for (int i = 0; i < 2; i++) {
		view->rates[i] = flow->pace.rates[i];
		look_at_leg(&view->legs[i], &relay->legs[i], &relay->lanes[!i]);
	}
}

void
flow_view_end(struct flow_view *view, const struct flow *flow, bool told)
{
	*view = plain_view(flow, clock_ms());
	for (int i = 0; i < 2; i++) {
		struct flow_view_leg *leg = &view->legs[i];
		int fd = flow->relay.legs[i].fd;

		leg->there = fd >= 0;
		if (leg->there && (told || flow->connected_ms))
			sock_info(fd, &leg->info);
		if (leg->there && told)
			sock_congestion(fd, leg->cc);
	}
}

static bool
passes(const struct flow *flow, const struct flow_filter *filter)
{
	return (!filter->policy || !strcmp(filter->policy, flow->policy)) &&
	    (!filter->has_src || prefix_contains(&filter->src, &flow->src)) &&
	    (!filter->has_dst || prefix_contains(&filter->dst, &flow->dst));
}

static void
begin(struct flow_set *set, struct flow_cursor *cursor)
{
	cursor->next = TAILQ_FIRST(&set->all);
	cursor->end = set->next_id;
	cursor->begun = true;
	LIST_INSERT_HEAD(&set->cursors, cursor, entry);
}

struct flow *
flow_look_next(struct flow_set *set, struct flow_cursor *cursor)
{
	struct flow *flow;

	if (!cursor->begun)
		begin(set, cursor);
	flow = cursor->next;
	if (flow && flow->id < cursor->end) {
		cursor->next = TAILQ_NEXT(flow, all);
		return flow;
	}
	flow_look_leave(cursor);
	return NULL;
}

size_t
flow_look(struct flow_set *set, struct flow_cursor *cursor,
    const struct flow_filter *filter, struct flow_view *views, size_t most)
{
	int64_t now = clock_ms();
	size_t n = 0;

	for (size_t i = 0; n < most && i < SCAN; i++) {
		struct flow *flow = flow_look_next(set, cursor);

		if (!flow)
			break;
		if (passes(flow, filter))
			flow_look_at(&views[n++], flow, now);
	}
	return n;
}

void
flow_look_leave(struct flow_cursor *cursor)
{
	if (cursor->begun && !cursor->done)
		LIST_REMOVE(cursor, entry);
	cursor->done = true;
}
