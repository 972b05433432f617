#include "flow/flow_count.h"

#include "base/clock.h"
#include "base/sock.h"

#define MILLION 1000000

void
flow_count_open(struct flow *flow, size_t index)
{
	flow->counts =
	    policy_book_find(&flow->set->policies, flow->policy, index);
	if (flow->counts)
		stats_add(&flow->counts->flows_opened, 1);
}

void
flow_count_connected(struct flow *flow)
{
	if (flow->counts)
		histogram_add(&flow->counts->connect, HISTOGRAM_TIME,
		    (uint64_t)(clock_us() - flow->opened_us));
}

void
flow_count_refused(struct flow *flow)
{
	if (flow->counts)
		stats_add(&flow->counts->congestion_refused, 1);
}

void
flow_count_bytes(struct flow *flow)
{
	struct flow_pace *pace = &flow->pace;
	struct policy_stats *counts = flow->counts;

	for (int i = 0; i < 2; i++) {
		uint64_t bytes = flow->relay.lanes[i].bytes;

		if (counts)
			stats_add(i == RELAY_UP ? &counts->bytes_up
						: &counts->bytes_down,
			    bytes - pace->bytes[i]);
		pace->bytes[i] = bytes;
	}
}

void
flow_count_leg(
    struct flow *flow, enum relay_side side, const struct sock_info *info)
{
	struct flow_mark *mark = &flow->marks[side];
	struct policy_stats *counts = flow->counts;
	bool client = side == RELAY_CLIENT;

	if (counts) {
		stats_add(client ? &counts->client_segments
				 : &counts->server_segments,
		    info->segments - mark->segments);
		stats_add(client ? &counts->client_retransmits
				 : &counts->server_retransmits,
		    info->retransmits - mark->retransmits);
	}
	mark->segments = info->segments;
	mark->retransmits = info->retransmits;
}

static void
count_leg_end(struct flow *flow, enum relay_side side)
{
	struct policy_stats *counts = flow->counts;
	bool client = side == RELAY_CLIENT;
	struct sock_info info;

	sock_info(flow->relay.legs[side].fd, &info);
	flow_count_leg(flow, side, &info);
	if (info.rtt_us)
		histogram_add(
		    client ? &counts->client_rtt : &counts->server_rtt,
		    HISTOGRAM_TIME, info.rtt_us);
	if (info.segments)
		histogram_add(
		    client ? &counts->client_retrans : &counts->server_retrans,
		    HISTOGRAM_SHARE,
		    (uint64_t)info.retransmits * MILLION / info.segments);
}

void
flow_count_end(struct flow *flow, enum ending ending)
{
	struct policy_stats *counts = flow->counts;

	if (!counts)
		return;
	stats_add(&counts->flows_ended, 1);
	stats_add(&counts->endings[ending], 1);
	histogram_add(&counts->duration, HISTOGRAM_LIFE,
	    (uint64_t)(clock_us() - flow->opened_us));
	flow_count_bytes(flow);
	if (flow->relay.legs[RELAY_CLIENT].fd >= 0)
		count_leg_end(flow, RELAY_CLIENT);
	/* One that never connected has no round-trip time. */
	if (flow->connected_ms && flow->relay.legs[RELAY_SERVER].fd >= 0)
		count_leg_end(flow, RELAY_SERVER);
}
