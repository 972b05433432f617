/*
 * flow: one proxied connection's life, from the accepted socket to the one
 * line that the log says of it. A flow belongs to its worker's flow set and
 * never leaves that thread; its state is the list it is on. Every flow ends
 * through flow_close and is freed at the end of the loop turn.
 */
#ifndef UNATATP_FLOW_FLOW_H
#define UNATATP_FLOW_FLOW_H

#include <event2/event_struct.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/localaddr.h"
#include "conf/conf.h"
#include "flow/choosers.h"
#include "flow/ending.h"
#include "flow/latency.h"
#include "flow/listener.h"
#include "flow/pipe_pool.h"
#include "flow/policy_stats.h"
#include "flow/relay.h"
#include "flow/stats.h"

#define FLOW_ALGORITHMS 16 /* Linux has about as many */

enum flow_state {
	FLOW_DIALLING,	  /* accepted; the server leg connects */
	FLOW_OPEN,	  /* both lanes go */
	FLOW_HALF_CLOSED, /* one lane has passed its FIN on */
	FLOW_FLUSHING,	  /* a leg failed; the other gets the rest */
	FLOW_CLOSED,	  /* waits to be freed */
	FLOW_STATES
};

/* How fast a flow was when somebody last looked: flow_view.h. */
struct flow_pace {
	int64_t at_ms;		     /* clock_ms; 0: nobody has looked */
	uint64_t bytes[2], rates[2]; /* rates in bits a second */
};

/* Where a walk over a set's flows stands: flow_view.h. */
struct flow_cursor {
	LIST_ENTRY(flow_cursor) entry;
	struct flow *next; /* NULL: at the end */
	uint64_t end;	   /* the first id that it does not go to */
	bool begun, done;
};

/* What the counters of its policy have of one leg: policy_stats.h. */
struct flow_mark {
	uint32_t segments, retransmits;
	unsigned char algorithm; /* place in the set's list + 1; 0: not yet */
};

/* What "auto" has chosen: few flows have it. */
struct flow_choices {
	struct choosers_choice legs[2]; /* name NULL: by the policy */
	int64_t trial_ms; /* clock_ms: look how one is doing; 0: no need */
};

/* Plain values: what a policy said when the flow began. */
struct flow {
	TAILQ_ENTRY(flow) entry; /* on the list of its state */
	TAILQ_ENTRY(flow) all;	 /* until it is closed */
	struct flow_set *set;
	const char *policy;		   /* interned: conf.h */
	struct policy_stats *policy_stats; /* NULL: not decided yet */
	uint64_t id;
	struct addr src, dst;
	struct event timer;
	struct relay relay;
	int64_t opened_ms, connected_ms; /* clock_ms; 0: not yet */
	int64_t redial_ms; /* clock_ms: the client's port is not free yet */
	int64_t connect_ms, idle_ms, half_close_ms, lifetime_ms;
	uint64_t flushed; /* flushing: the last progress, and when */
	int64_t flushed_ms;
	enum flow_state state;
	uint16_t windows[2]; /* of each leg, in segments: sock_begin_window */
	struct flow_pace pace;
	struct flow_mark marks[2];    /* by enum relay_side */
	struct latency *latency;      /* NULL: no bound */
	struct flow_choices *choices; /* NULL: nothing was left to "auto" */
};

TAILQ_HEAD(flow_list, flow);
LIST_HEAD(flow_cursor_list, flow_cursor);

struct flow_set {
	struct event_base *base;
	struct conf *conf;		    /* a reference */
	struct policy_stats **policy_stats; /* by policy.index; owned */
	struct localaddr_set *local;	    /* a reference */
	struct choosers *choosers;	    /* of all sets */
	struct listeners listeners;
	struct flow_list lists[FLOW_STATES];
	struct flow_list all; /* that live, in the order of their ids */
	struct flow_cursor_list cursors;
	struct relay_shared relays;
	struct pipe_pool pipes;
	struct stats stats;
	/* The algorithms that legs were seen to run. */
	char algorithms[FLOW_ALGORITHMS][SOCK_CONGESTION_MAX];
	struct poller *poller;
	struct poll_entry reaper;
	size_t n_live;
	/* Shared by all sets: counts against limits.flows. */
	_Atomic int64_t *live_total;
	uint64_t next_id, id_step; /* ids are unique among the sets */
	/* Called when the last flow was freed. */
	void (*on_empty)(struct flow_set *set);
};

/*
 * Prepares a zeroed set whose base, live_total, choosers, ids and on_empty
 * are filled in. 0 or -ENOMEM; flow_set_clear undoes it.
 */
__attribute__((warn_unused_result)) int flow_set_init(struct flow_set *set);

/* Frees what flow_set_init made; every flow must be gone. */
void flow_set_clear(struct flow_set *set);

/* Closes the flow ID for that reason. False: there is none. */
bool flow_set_close(struct flow_set *set, uint64_t id, enum ending ending);

/* Closes all flows for one reason. */
void flow_set_close_all(struct flow_set *set, enum ending ending);

/*
 * Begins a flow on the accepted FD, which becomes the set's: finds out
 * where the client wanted to go, checks guards and policy, and dials.
 * A listener_accept_fn.
 */
void flow_open(struct listener *l, int fd, const struct addr *peer);

/* True when A is the gateway's, or of a kind that no gateway forwards. */
bool flow_is_own(const struct flow_set *set, const struct addr *a);

/* Counts and logs ERR, a refused algorithm. True: the flow may go on. */
bool flow_tolerates(struct flow *flow, const struct policy *policy,
    const char *leg, const char *algorithm, int err);

/*
 * Starts to connect the server leg, or arranges to try again when the
 * client's port is free (flow_redial). ENDING_COUNT when under way.
 */
enum ending flow_dial(struct flow *flow, const struct policy *policy);

/* The time of redial_ms has come. */
void flow_redial(struct flow *flow);

/*
 * Puts into OPTIONS, a copy of those of FLOW's policy for the leg SIDE, the
 * algorithm that "auto" comes to.
 */
void flow_choose(
    struct flow *flow, enum relay_side side, struct sock_options *options);

/* The kernel has refused ALGORITHM, which "auto" may have chosen. */
void flow_choice_refused(struct flow *flow, const char *algorithm);

/*
 * The time of trial_ms has come: where an algorithm that is tried out does
 * badly, the better one takes over for the rest of the flow.
 */
void flow_judge(struct flow *flow);

/* FLOW ends: what its legs achieved with what "auto" had chosen. */
void flow_learn(const struct flow *flow);

/* FLOW is treated by POLICY from now on. */
void flow_take_policy(struct flow *flow, const struct policy *policy);

/* Puts FLOW on the list of STATE; asserts that the step is legal. */
void flow_enter(struct flow *flow, enum flow_state state);

/* One of the deadlines may have come. */
void flow_on_timer(evutil_socket_t fd, short what, void *arg);

/* Sets the one timer to the nearest of FLOW's deadlines. */
void flow_arm(struct flow *flow);

/*
 * The one end of every flow: counts, logs, closes or resets both legs.
 * The callback's last act: FLOW lives on only until the loop turns.
 */
void flow_close(struct flow *flow, enum ending ending);

#endif
