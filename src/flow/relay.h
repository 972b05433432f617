/*
 * relay: moves the bytes of one flow. It borrows two connected sockets and
 * knows half-close, byte counts and the hand-over between its engines, but
 * no flow, policy or worker. All of it runs on its worker's thread; once
 * on_outcome has been called with an end, its owner calls relay_stop.
 */
#ifndef UNATATP_FLOW_RELAY_H
#define UNATATP_FLOW_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/poller.h"
#include "flow/stats.h"

#define RELAY_SCRATCH 65536

/* What a lane may always hold, bytes. */
#define RELAY_LEAST 4096

struct evbuffer;
struct relay;

enum relay_side { RELAY_CLIENT, RELAY_SERVER };
enum relay_lane { RELAY_UP, RELAY_DOWN };

struct leg {
	struct poll_entry entry;
	struct relay *relay;
	int fd;
	/* What epoll said, until a call on the socket says otherwise. */
	bool readable, writable;
	bool hung_up; /* the peer's FIN has come: EPOLLRDHUP */
	bool error;   /* EPOLLERR or EPOLLHUP: trust no short read */
	bool urgent;  /* EPOLLPRI: reads stop short of the mark */
	bool failed;  /* reset or timed out: only reading is left */
	/* How long it took no more: clock_coarse_ms; 0: it does. */
	int64_t full_since_ms, full_ms;
};

/* Bytes from legs[i] to legs[!i], where i is the lane's own number. */
struct lane {
	uint64_t bytes;		 /* taken by the receiving socket */
	struct evbuffer *queue;	 /* what it did not take; NULL until then */
	struct relay_pipe *pipe; /* splice: held only while it holds bytes */
	uint64_t burst;		 /* bytes since the last small read */
	uint32_t most;		 /* bytes that it may hold now */
	bool paused;		 /* buffer: reading waits for the queue */
	bool ended;		 /* nothing more comes from the source */
	bool finished;		 /* and all of it was passed on */
};

enum relay_outcome {
	RELAY_HALF_CLOSED, /* one lane finished, the other goes on */
	RELAY_FINISHED,	   /* both did: close the legs */
	RELAY_FAILING,	   /* a leg failed: poll relay_flushed */
	RELAY_FAILED,	   /* likewise, and nothing is left to deliver */
	RELAY_WOKEN,	   /* no end: a byte has moved, and it had `rests' */
};

struct relay_engine {
	const char *name;
	/*
	 * Moves LANE until it must wait for an edge. True when the relay is
	 * over or has another engine now: touch nothing, return.
	 */
	bool (*pump)(struct relay *relay, struct lane *lane);
	/* Gives back what it holds; bytes inside are lost. */
	void (*stop)(struct relay *relay);
};

/* What the relays of a worker share. */
struct relay_shared {
	struct poller *poller;
	void (*on_outcome)(struct relay *relay, enum relay_outcome outcome);
	struct pipe_pool *pool;
	char *scratch;		/* RELAY_SCRATCH bytes, used within a call */
	struct stats *stats;	/* memory_held: queues, pipes and owners */
	size_t memory_most;	/* bytes for all of these; 0: no limit */
	stats_counter moved[2]; /* bytes of relays that nobody else counts */
};

struct relay {
	struct relay_shared *shared;
	const struct relay_engine *engine; /* NULL: not started */
	struct leg legs[2];
	struct lane lanes[2];
	uint64_t splice_after;	 /* bytes; 0: never */
	uint32_t buffer;	 /* the most that a lane may ever hold, bytes */
	int failed_error;	 /* -errno of the first leg that failed */
	stats_counter *moved[2]; /* where each lane's bytes are counted */
	int64_t active_ms;	 /* when a byte last moved: clock_coarse_ms */
	bool rests;		 /* somebody wants to hear of the next one */
	enum relay_lane first_finished;
	enum relay_side first_failed; /* whose error failed_error is */
};

extern const struct relay_engine relay_buffer, relay_splice;

/*
 * Fills in a zeroed relay; the descriptors stay the caller's to close. Each
 * lane may hold BUFFER bytes, or what its `most' says once it has started.
 */
void relay_init(struct relay *relay, struct relay_shared *shared,
    uint32_t buffer, uint64_t splice_after);

/*
 * Takes the connected client leg's FD and watches it. Until relay_start
 * only a failure of it is reported. 0 or -errno.
 */
__attribute__((warn_unused_result)) int relay_attach(
    struct relay *relay, int fd);

/*
 * Both legs stand, and epoll said EVENTS of the server's: begin. ERR is
 * -errno when that leg has failed already and is only to be read; else 0.
 */
void relay_start(struct relay *relay, uint32_t events, int err);

/*
 * Reads BYTES more from LANE's source than it may hold, but no more than
 * the buffer has room for, as soon as others had their turn; until `most' is
 * set anew.
 */
void relay_relieve(struct relay *relay, struct lane *lane, uint32_t bytes);

/* Lets go of events and engine; safe at any time and twice. */
void relay_stop(struct relay *relay);

/* After RELAY_FAILING: true when the other leg's peer has got everything. */
bool relay_flushed(const struct relay *relay);

/*
 * A figure that changes whenever the flushing gets on, and does not when
 * it stands still.
 */
uint64_t relay_flush_progress(const struct relay *relay);

/* How long LEG has taken no more of what there was to send. */
uint64_t relay_full_ms(const struct leg *leg);

/* --- for the engines ---------------------------------------------- */

static inline enum relay_side
leg_side(const struct leg *leg)
{
	return (enum relay_side)(leg - leg->relay->legs);
}

/* The lane that LEG feeds, and the one that feeds it. */
static inline struct lane *
leg_out(struct leg *leg)
{
	return &leg->relay->lanes[leg_side(leg)];
}

static inline struct lane *
leg_in(struct leg *leg)
{
	return &leg->relay->lanes[!leg_side(leg)];
}

static inline struct leg *
lane_from(struct relay *relay, const struct lane *lane)
{
	return &relay->legs[lane - relay->lanes];
}

static inline struct leg *
lane_to(struct relay *relay, const struct lane *lane)
{
	return &relay->legs[!(lane - relay->lanes)];
}

/* N bytes reached the receiving socket. */
void relay_moved(struct relay *relay, struct lane *lane, size_t n);

/*
 * The source has ended and the lane holds nothing any more: passes the
 * FIN on. True when that was the relay's end: touch nothing, return.
 */
bool relay_lane_finished(struct relay *relay, struct lane *lane);

/*
 * A call on LEG failed with ERR (-errno), other than "not now". True when
 * the relay has come to its end: touch nothing, return.
 */
bool relay_leg_failed(struct leg *leg, int err);

/* N bytes more, or less, are held by what shares SHARED. */
static inline void
relay_hold(struct relay_shared *shared, int64_t n)
{
	stats_hold(shared->stats, n);
}

/* A queue that held BEFORE bytes holds NOW; its owner counts RELAY_LEAST. */
static inline void
relay_hold_queue(struct relay_shared *shared, size_t before, size_t now)
{
	before = before > RELAY_LEAST ? before : RELAY_LEAST;
	now = now > RELAY_LEAST ? now : RELAY_LEAST;
	relay_hold(shared, (int64_t)now - (int64_t)before);
}

/* How many more may be. */
size_t relay_memory_left(const struct relay_shared *shared);

/* The most that LANE may hold: its own, or less where memory is short. */
size_t relay_most(const struct relay *relay, const struct lane *lane);

/* Bytes that LANE holds between its sockets. */
size_t relay_held(const struct lane *lane);

/* True when what LANE's source sends has anywhere to go. */
bool relay_wants(struct relay *relay, struct lane *lane);

/* The source of LANE has no more; passes that on if nothing is held. */
bool relay_lane_ended(struct relay *relay, struct lane *lane);

/* A read of LANE's source failed with ERR (-errno). */
bool relay_read_failed(struct relay *relay, struct lane *lane, int err);

/* A write to LANE's receiver failed; what LANE holds is dropped. */
bool relay_write_failed(struct relay *relay, struct lane *lane, int err);

/*
 * Bytes are lost for want of what ERR says: neither leg may see a FIN. The
 * relay is over, whatever failed before: touch nothing, return.
 */
void relay_lost(struct relay *relay, int err);

/* LEG takes no more until epoll says so. */
void relay_leg_full(struct leg *leg);

/* LANE has used up its turn: others first, then its pump again. */
void relay_again(struct relay *relay, struct lane *lane);

/* Another engine takes over; what lanes hold in their queues stays. */
void relay_switch(struct relay *relay, const struct relay_engine *engine);

#endif
