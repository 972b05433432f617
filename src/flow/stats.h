/*
 * stats: a worker's counters. Only its own thread writes them; main reads
 * them relaxed, so that counting costs a plain add and no lock. All of them
 * only grow, but memory_held: the bytes that limits.memory bounds.
 */
#ifndef UNATATP_FLOW_STATS_H
#define UNATATP_FLOW_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "flow/ending.h"

#define STATS_TABLE(X)        \
	X(flows_opened)       \
	X(flows_ended)        \
	X(bytes_up)           \
	X(bytes_down)         \
	X(congestion_refused) \
	X(options_refused)    \
	X(port_fallbacks)     \
	X(accept_pauses)      \
	X(pipes_refused)      \
	X(memory_held)

typedef _Atomic uint64_t stats_counter;

struct stats {
#define X(name) stats_counter name;
	STATS_TABLE(X)
#undef X
	stats_counter endings[ENDING_COUNT];
	/* The most of memory_held since main took it last and put 0. */
	stats_counter memory_high;
};

/* For the one writer. */
static inline void
stats_add(stats_counter *counter, uint64_t n)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

/* N bytes more, or less, of memory_held. For the one writer. */
static inline void
stats_hold(struct stats *stats, int64_t n)
{
	uint64_t held;

	stats_add(&stats->memory_held, (uint64_t)n);
	held = atomic_load_explicit(&stats->memory_held, memory_order_relaxed);
	if (held >
	    atomic_load_explicit(&stats->memory_high, memory_order_relaxed))
		atomic_store_explicit(
		    &stats->memory_high, held, memory_order_relaxed);
}

/* Main's: the most that was held since it asked last, bytes. */
static inline uint64_t
stats_take_high(struct stats *stats)
{
	return atomic_exchange_explicit(
	    &stats->memory_high, 0, memory_order_relaxed);
}

/* Adds all of FROM, another thread's, to SUM, the caller's own. */
void stats_sum(struct stats *sum, const struct stats *from);

/* "stats flows_opened=3 flows_active=1 ...", endings that happened last. */
void stats_log(const struct stats *stats);

#endif
