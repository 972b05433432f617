#include "flow/policy_stats.h"

#include "flow/flow.h"
#include "flow/flow_view.h"

static uint64_t
get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void
policy_stats_sum(struct policy_stats *sum, const struct policy_stats *from)
{
#define X(name) stats_add(&sum->name, get(&from->name));
	POLICY_COUNTERS(X)
#undef X
#define X(name) histogram_sum(&sum->name, &from->name);
	POLICY_HISTOGRAMS(X)
#undef X
	for (int i = 0; i < ENDING_COUNT; i++)
		stats_add(&sum->endings[i], get(&from->endings[i]));
}

void
policy_stats_open(struct flow *flow)
{
	struct policy_stats *stats = flow->policy_stats;

	stats_add(&stats->flows_opened, 1);
	flow->relay.moved[RELAY_UP] = &stats->bytes_up;
	flow->relay.moved[RELAY_DOWN] = &stats->bytes_down;
}

void
policy_stats_connect(struct flow *flow)
{
	histogram_add(&flow->policy_stats->connect_ms,
	    (uint64_t)(flow->connected_ms - flow->opened_ms));
}

/* What the kernel has said of a leg that is about to close. */
static void
end_leg(const struct sock_info *info, stats_counter *segments,
    stats_counter *retrans, struct histogram *rtt_us,
    struct histogram *retrans_ppm)
{
	stats_add(segments, info->segments);
	stats_add(retrans, info->retransmits);
	if (info->rtt_us)
		histogram_add(rtt_us, info->rtt_us);
	if (info->segments)
		histogram_add(retrans_ppm,
		    UINT64_C(1000000) * info->retransmits / info->segments);
}

void
policy_stats_end(
    struct flow *flow, const struct flow_view *last, enum ending ending)
{
	struct policy_stats *stats = flow->policy_stats;

	stats_add(&stats->flows_ended, 1);
	stats_add(&stats->endings[ending], 1);
	if (!flow->connected_ms)
		return;
	histogram_add(&stats->duration_ms, (uint64_t)last->age_ms);
	end_leg(&last->legs[RELAY_CLIENT].info, &stats->client_segments,
	    &stats->client_retrans, &stats->client_rtt_us,
	    &stats->client_retrans_ppm);
	end_leg(&last->legs[RELAY_SERVER].info, &stats->server_segments,
	    &stats->server_retrans, &stats->server_rtt_us,
	    &stats->server_retrans_ppm);
}
