/*
 * policy_stats: a worker's counters of one policy. They are there from its
 * first flow to the end of the process, whatever reloads do: a policy is
 * its name. As with stats.h the worker writes, and main reads relaxed.
 */
#ifndef UNATATP_FLOW_POLICY_STATS_H
#define UNATATP_FLOW_POLICY_STATS_H

#include <stddef.h>

#include "flow/ending.h"
#include "flow/histogram.h"
#include "flow/stats.h"

/* Segments are those with data; retransmits are among them. */
#define POLICY_STATS_TABLE(X) \
	X(flows_opened)       \
	X(flows_ended)        \
	X(bytes_up)           \
	X(bytes_down)         \
	X(congestion_refused) \
	X(client_segments)    \
	X(client_retransmits) \
	X(server_segments)    \
	X(server_retransmits)

/* At the end of a flow; what a leg never had is not in them. */
#define POLICY_HISTOGRAM_TABLE(X)          \
	X(connect, HISTOGRAM_TIME)         \
	X(client_rtt, HISTOGRAM_TIME)      \
	X(server_rtt, HISTOGRAM_TIME)      \
	X(duration, HISTOGRAM_LIFE)        \
	X(client_retrans, HISTOGRAM_SHARE) \
	X(server_retrans, HISTOGRAM_SHARE)

struct policy_stats {
	const char *name;	   /* interned */
	struct policy_stats *next; /* written once, before it is seen */
#define X(row) stats_counter row;
	POLICY_STATS_TABLE(X)
#undef X
	stats_counter endings[ENDING_COUNT];
#define X(row, scale) struct histogram row;
	POLICY_HISTOGRAM_TABLE(X)
#undef X
};

/* All policies that a flow set has met. Zeroed: none. */
struct policy_book {
	_Atomic(struct policy_stats *) first; /* the last one met */
	struct policy_stats **by_index;	      /* of conf; NULL: not met yet */
};

/*
 * A configuration of N policies is in force, the built-in one included.
 * 0, or -ENOMEM: then nothing is counted by policy.
 */
int policy_book_adopt(struct policy_book *book, size_t n);

/* Those of the policy NAME at INDEX in conf. NULL: out of memory. */
struct policy_stats *policy_book_find(
    struct policy_book *book, const char *name, size_t index);

void policy_book_clear(struct policy_book *book);

/* The first of a book of another thread; `next` leads to the others. */
const struct policy_stats *policy_book_first(const struct policy_book *book);

/* Adds all counts of FROM, another thread's, to SUM, the caller's own. */
void policy_stats_sum(
    struct policy_stats *sum, const struct policy_stats *from);

#endif
