#include "flow/sample.h"

#include <string.h>

#include "base/clock.h"

/* Bytes in a flow's mark: 32 bits last for a TiB between two looks. */
#define MARK_SHIFT 8

static void
count_algorithm(struct sample_leg *leg, const char *name, uint32_t n)
{
	for (size_t i = 0; i < SAMPLE_ALGORITHMS; i++) {
		struct sample_algorithm *a = &leg->algorithms[i];

		if (!a->legs)
			memcpy(a->name, name, sizeof(a->name));
		else if (strcmp(a->name, name))
			continue;
		a->legs += n;
		return;
	}
}

static void
add_leg(struct sample_leg *sum, const struct sample_leg *from)
{
	sum->rtt_us += from->rtt_us;
	sum->measured += from->measured;
	sum->segments += from->segments;
	sum->retransmits += from->retransmits;
	for (size_t i = 0; i < SAMPLE_ALGORITHMS; i++)
		if (from->algorithms[i].legs)
			count_algorithm(sum, from->algorithms[i].name,
			    from->algorithms[i].legs);
}

static void
add_policy(struct sample_policy *sum, const struct sample_policy *from)
{
	sum->flows += from->flows;
	sum->rates[RELAY_UP] += from->rates[RELAY_UP];
	sum->rates[RELAY_DOWN] += from->rates[RELAY_DOWN];
	add_leg(&sum->legs[RELAY_CLIENT], &from->legs[RELAY_CLIENT]);
	add_leg(&sum->legs[RELAY_SERVER], &from->legs[RELAY_SERVER]);
}

/* NULL: there is no more room. */
static struct sample_policy *
find_policy(struct sample *sample, const char *name)
{
	struct sample_policy *p = sample->policies;

	for (size_t i = 0; i < sample->n_policies; i++, p++)
		if (p->name == name)
			return p;
	if (sample->n_policies == SAMPLE_POLICIES)
		return NULL;
	sample->n_policies++;
	*p = (struct sample_policy){ .name = name };
	return p;
}

static uint64_t
total_rate(const struct sample_flow *flow)
{
	return flow->rates[RELAY_UP] + flow->rates[RELAY_DOWN];
}

static void
offer_busiest(struct sample *sample, const struct sample_flow *flow)
{
	struct sample_flow *list = sample->busiest;
	size_t at = sample->n_busiest;

	while (at && total_rate(&list[at - 1]) < total_rate(flow))
		at--;
	if (at == SAMPLE_BUSIEST)
		return;
	if (sample->n_busiest < SAMPLE_BUSIEST)
		sample->n_busiest++;
	memmove(&list[at + 1], &list[at],
	    (sample->n_busiest - at - 1) * sizeof(*list));
	list[at] = *flow;
}

/* Bytes of a lane since the last look, a few hundred more or less. */
static uint64_t
bytes_since(uint32_t *mark, uint64_t bytes)
{
	uint32_t now = (uint32_t)(bytes >> MARK_SHIFT);
	uint32_t since = now - *mark;

	*mark = now;
	return (uint64_t)since << MARK_SHIFT;
}

static void
look_at_leg(struct sample_leg *sums, struct sample_flow *view,
    struct flow *flow, enum relay_side side, bool moved)
{
	struct flow_leg_mark *mark = &flow->mark.legs[side];
	int fd = flow->relay.legs[side].fd;
	struct sock_info info;

	sock_congestion(fd, view->legs[side].cc);
	if (*view->legs[side].cc)
		count_algorithm(sums, view->legs[side].cc, 1);
	if (!moved)
		return;
	sock_info(fd, &info);
	view->legs[side].rtt_us = info.rtt_us;
	view->legs[side].retransmits = info.retransmits;
	sums->rtt_us += info.rtt_us;
	sums->measured += info.rtt_us > 0;
	sums->segments += info.segments - mark->segments;
	sums->retransmits += info.retransmits - mark->retransmits;
	mark->segments = info.segments;
	mark->retransmits = info.retransmits;
}

static void
look_at(struct sample *sample, struct flow *flow, int64_t now)
{
	const struct relay *relay = &flow->relay;
	struct flow_mark *mark = &flow->mark;
	int64_t ms = now - (mark->ms ? mark->ms : flow->opened_ms);
	struct sample_policy sums = { .flows = 1 }, *policy;
	struct sample_flow view = {
		.policy = flow->policy,
		.id = flow->id,
		.ms = now - flow->opened_ms,
		.state = flow->state,
		.engine = relay->engine ? relay->engine->name : "-",
	};
	bool moved = false;

	for (int i = 0; i < 2; i++) {
		uint64_t bytes = relay->lanes[i].bytes;
		uint64_t since = bytes_since(&mark->lanes[i], bytes);

		view.bytes[i] = bytes;
		view.rates[i] = since * 8000 / (uint64_t)(ms > 0 ? ms : 1);
		sums.rates[i] = view.rates[i];
		moved |= since > 0;
	}
	mark->ms = now;
	look_at_leg(&sums.legs[0], &view, flow, RELAY_CLIENT, moved);
	look_at_leg(&sums.legs[1], &view, flow, RELAY_SERVER, moved);
	add_policy(&sample->all, &sums);
	policy = find_policy(sample, flow->policy);
	if (policy)
		add_policy(policy, &sums);
	sample->flows++;
	if (!moved)
		return;
	view.src = flow->src;
	view.dst = flow->dst;
	offer_busiest(sample, &view);
}

/* The first flow of the lists from STATE on. */
static struct flow *
first_from(struct flow_set *set, int state)
{
	struct flow *flow = NULL;

	for (; !flow && state < FLOW_CLOSED; state++)
		flow = TAILQ_FIRST(&set->lists[state]);
	return flow;
}

void
sample_pass(struct flow *flow)
{
	struct flow *next = TAILQ_NEXT(flow, entry);

	if (flow->set->sample_next == flow)
		flow->set->sample_next =
		    next ? next : first_from(flow->set, (int)flow->state + 1);
}

bool
sample_take(struct sample *sample, struct flow_set *set, size_t most, bool anew)
{
	int64_t now = clock_ms();

	if (anew)
		set->sample_next = first_from(set, 0);
	while (set->sample_next && most--) {
		struct flow *flow = set->sample_next;

		look_at(sample, flow, now);
		sample_pass(flow);
	}
	return set->sample_next;
}

void
sample_add(struct sample *sum, const struct sample *from)
{
	sum->flows += from->flows;
	add_policy(&sum->all, &from->all);
	for (size_t i = 0; i < from->n_policies; i++) {
		struct sample_policy *p =
		    find_policy(sum, from->policies[i].name);

		if (p)
			add_policy(p, &from->policies[i]);
	}
	for (size_t i = 0; i < from->n_busiest; i++)
		offer_busiest(sum, &from->busiest[i]);
}
