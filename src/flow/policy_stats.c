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

void
policy_stats_leg(struct flow *flow, int side, const struct sock_info *info)
{
	struct policy_stats *stats = flow->policy_stats;
	struct flow_mark *mark = &flow->marks[side];
	bool client = side == RELAY_CLIENT;

	if (!info->rto_us) /* the kernel did not say */
		return;
	stats_add(client ? &stats->client_segments : &stats->server_segments,
	    info->segments - mark->segments);
	stats_add(client ? &stats->client_retrans : &stats->server_retrans,
	    info->retransmits - mark->retransmits);
	mark->segments = info->segments;
	mark->retransmits = info->retransmits;
}

/* What the kernel has said of a leg that is about to close. */
static void
end_leg(struct flow *flow, int side, const struct sock_info *info,
    struct histogram *rtt_us, struct histogram *retrans_ppm)
{
	policy_stats_leg(flow, side, info);
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
	end_leg(flow, RELAY_CLIENT, &last->legs[RELAY_CLIENT].info,
	    &stats->client_rtt_us, &stats->client_retrans_ppm);
	end_leg(flow, RELAY_SERVER, &last->legs[RELAY_SERVER].info,
	    &stats->server_rtt_us, &stats->server_retrans_ppm);
}
