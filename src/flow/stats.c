#include "flow/stats.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

static uint64_t
get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void
stats_sum(struct stats *sum, const struct stats *from)
{
#define X(name) stats_add(&sum->name, get(&from->name));
	STATS_TABLE(X)
#undef X
	for (int i = 0; i < ENDING_COUNT; i++)
		stats_add(&sum->endings[i], get(&from->endings[i]));
}

void
stats_log(const struct stats *stats)
{
	char text[LOG_LINE_MAX];
	int n = snprintf(text, sizeof(text), "flows_active=%" PRIu64,
	    get(&stats->flows_opened) - get(&stats->flows_ended));

#define X(name)                                           \
	n += snprintf(text + n, sizeof(text) - (size_t)n, \
	    " " #name "=%" PRIu64, get(&stats->name));
	STATS_TABLE(X)
#undef X
	for (int i = 0; i < ENDING_COUNT && n < LOG_LINE_MAX - 64; i++)
		if (get(&stats->endings[i]))
			n += snprintf(text + n, sizeof(text) - (size_t)n,
			    " %s=%" PRIu64, ending_word((enum ending)i),
			    get(&stats->endings[i]));
	log_notice("stats %s", text);
}
