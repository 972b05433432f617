/*
 * latency: bounds the delay that the proxy adds inside a flow. What waits
 * in a lane, unsent, in the relay and unread, must leave within the bound
 * at the rate at which its sending leg delivers; each look at the legs
 * shares that out anew. A flow owns it: plain values, on its worker's thread.
 */
#ifndef UNATATP_FLOW_LATENCY_H
#define UNATATP_FLOW_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

struct relay;

/* What is known of a lane, and what it may hold: in bytes. */
struct latency_lane {
	uint64_t rate;	  /* a second, of the sending leg; 0: not known yet */
	uint64_t moved;	  /* when it was last looked at */
	int64_t large_ms; /* since when the window is too large; 0: it is not */
	uint32_t cost;	  /* memory that 256 unread bytes take */
	uint32_t unsent;  /* in the sending leg */
	uint32_t window;  /* of the receiving leg; 0: the kernel's to tune */
	bool waited;	  /* a queue stood at the last look */
	bool fixed;	  /* the receive buffer is not ours to size */
};

struct latency {
	int64_t bound_ms;
	int64_t look_ms;   /* clock_ms of the next look; 0: when bytes move */
	int64_t looked_ms; /* and of the last one; 0: there was none */
	/* By enum relay_side: what the policy says of each leg. */
	uint32_t unsent_most[2]; /* 0: no limit */
	struct latency_lane lanes[2];
};

/* What the bytes of a lane may take, and what that is told from. */
struct latency_share {
	int64_t bound_ms;
	/* Bytes a second: what the sending leg delivers (0: not known) ... */
	uint64_t rate;
	uint64_t pacing; /* ... and would send: more, while it gathers speed */
	uint64_t drawn;	 /* what the lane carried without a queue; 0: one is */
	/* Of the receiving leg, without what waits on it; 0: not known. */
	uint32_t rtt_us;
	uint32_t mss; /* of the receiving leg */

	uint32_t unsent, held, window; /* out; window 0: no bound needed */
};

void latency_divide(struct latency_share *share);

/*
 * Looks at both legs of RELAY, which stand, and sets what each lane may
 * hold. look_ms becomes the time of the next look; when nothing has moved
 * since the last one it is 0, and relay->rests is set.
 */
void latency_look(struct latency *latency, struct relay *relay);

/* Bytes move again: look_ms is 0 no more. */
void latency_wake(struct latency *latency);

#endif
