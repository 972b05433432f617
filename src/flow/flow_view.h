/*
 * flow_view: what one flow is like now, in plain values that may leave its
 * thread, and a walk over a set's flows that can be left and taken up again
 * while flows come and go. On the set's thread; the caller owns what is
 * filled in.
 */
#ifndef UNATATP_FLOW_FLOW_VIEW_H
#define UNATATP_FLOW_FLOW_VIEW_H

#include "base/sock.h"
#include "flow/flow.h"

/* What holds back the bytes that a leg is to get. */
enum flow_limit {
	FLOW_LIMIT_APPLICATION,	   /* nothing: none are waiting */
	FLOW_LIMIT_READING,	   /* what it sent waits for the other leg */
	FLOW_LIMIT_SENDING,	   /* the path: congestion window, pacing */
	FLOW_LIMIT_RECEIVE_WINDOW, /* its peer: the window is full */
};

struct flow_view_leg {
	bool there;
	char cc[SOCK_CONGESTION_MAX];
	struct sock_info info;
	uint32_t unread; /* bytes that its socket holds for us */
	uint64_t queued; /* bytes that the relay holds for it */
	enum flow_limit limit;
};

struct flow_view {
	const char *policy; /* interned */
	uint64_t id;
	struct addr src, dst;
	uint64_t bytes[2]; /* by enum relay_lane */
	uint64_t rates[2]; /* bits a second: flow_pace */
	int64_t age_ms, idle_ms;
	int64_t connect_ms; /* 0: not yet connected */
	enum flow_state state;
	const char *engine;	      /* "-": not yet connected */
	struct flow_view_leg legs[2]; /* by enum relay_side */
};

const char *flow_state_word(enum flow_state state);
const char *flow_limit_word(enum flow_limit limit);

/* Which flows to look at; all zero: every one. */
struct flow_filter {
	const char *policy; /* NULL: any */
	bool has_src, has_dst;
	struct prefix src, dst;
};

/*
 * Sums up a FLOW that ends, while its legs stand: its plain values and what
 * TCP_INFO says of the legs. Each call to the kernel counts here, so for the
 * counters alone (not TOLD, no line is written) no more are made than those
 * need. What nobody asks of a flow that has ended stays zero.
 */
void flow_view_end(struct flow_view *view, const struct flow *flow, bool told);

/*
 * Fills in at most MOST views of the flows that pass FILTER, where CURSOR
 * stands, and moves it on; how many. Each flow is seen once at most, in the
 * order in which they began, and no later one than the first call knew of.
 * CURSOR is zero at first; it must live until it is `done' or left.
 */
size_t flow_look(struct flow_set *set, struct flow_cursor *cursor,
    const struct flow_filter *filter, struct flow_view *views, size_t most);

/*
 * The next flow of the walk, for whoever looks by other eyes; NULL at the
 * end, which is `done' then.
 */
struct flow *flow_look_next(struct flow_set *set, struct flow_cursor *cursor);

/* What FLOW, of the caller's thread, is like now. */
void flow_look_at(struct flow_view *view, struct flow *flow, int64_t now_ms);

/* Counts what FLOW has moved since the last time; for its rates. */
void flow_take_pace(struct flow *flow, int64_t now_ms);

/* Ends the walk early. */
void flow_look_leave(struct flow_cursor *cursor);

#endif
