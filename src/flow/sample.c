#include "flow/sample.h"

#include <string.h>

#include "base/clock.h"

/* One that moves costs some system calls, one at rest a look at memory. */
#define MOVING_AT_A_TIME 16
#define FLOWS_AT_A_TIME 512

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
	sum->slow += from->slow;
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
	for (int i = 0; i < 2; i++) {
		sum->rates[i] += from->rates[i];
		add_leg(&sum->legs[i], &from->legs[i]);
	}
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
total_rate(const struct flow_view *flow)
{
	return flow->rates[RELAY_UP] + flow->rates[RELAY_DOWN];
}

static void
offer_busiest(struct sample *sample, const struct flow_view *flow)
{
	struct flow_view *list = sample->busiest;
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

/* Asked for once: nobody changes it later. "": not known. */
static const char *
algorithm_of(struct flow *flow, enum relay_side side)
{
	char(*list)[SOCK_CONGESTION_MAX] = flow->set->algorithms;
	struct flow_mark *mark = &flow->marks[side];
	char name[SOCK_CONGESTION_MAX];
	unsigned char i = 0;

	if (mark->algorithm)
		return list[mark->algorithm - 1];
	if (flow->relay.legs[side].fd < 0)
		return "";
	sock_congestion(flow->relay.legs[side].fd, name);
	while (i < FLOW_ALGORITHMS && *list[i] && strcmp(list[i], name))
		i++;
	if (!*name || i == FLOW_ALGORITHMS)
		return "";
	memcpy(list[i], name, sizeof(name));
	mark->algorithm = (unsigned char)(i + 1);
	return list[i];
}

static bool
is_slow(enum flow_limit limit)
{
	return limit == FLOW_LIMIT_SENDING ||
	    limit == FLOW_LIMIT_RECEIVE_WINDOW;
}

static void
add_moving(
    struct sample_policy *sums, struct flow *flow, const struct flow_view *view)
{
	for (int i = 0; i < 2; i++) {
		const struct sock_info *info = &view->legs[i].info;
		struct flow_mark before = flow->marks[i];

		if (!view->legs[i].there)
			continue;
		policy_stats_leg(flow, i, info);
		sums->legs[i].rtt_us += info->rtt_us;
		sums->legs[i].measured += info->rtt_us > 0;
		sums->legs[i].slow += is_slow(view->legs[i].limit);
		sums->legs[i].segments += info->segments - before.segments;
		sums->legs[i].retransmits +=
		    info->retransmits - before.retransmits;
	}
}

/* Whether to ask the kernel: of some, and of those that move most. */
static bool
is_picked(const struct sample *sample, const struct flow *flow)
{
	uint64_t rate = flow->pace.rates[0] + flow->pace.rates[1];
	uint64_t turn = flow->id / flow->set->id_step;

	return sample->stride <= 1 || turn % sample->stride == sample->phase ||
	    sample->n_busiest < SAMPLE_BUSIEST ||
	    rate > total_rate(&sample->busiest[SAMPLE_BUSIEST - 1]);
}

/* True when that took some system calls. */
static bool
look_at(struct sample *sample, struct flow *flow, int64_t now)
{
	struct sample_policy sums = { .flows = 1 }, *policy;
	const uint64_t *rates = flow->pace.rates;
	struct flow_view view;
	bool moves, picked;

	flow_take_pace(flow, now);
	moves = rates[RELAY_UP] || rates[RELAY_DOWN];
	picked = moves && is_picked(sample, flow);
	if (picked) {
		flow_look_at(&view, flow, now);
		add_moving(&sums, flow, &view);
		offer_busiest(sample, &view);
	}
	for (int i = 0; i < 2; i++) {
		const char *name = algorithm_of(flow, (enum relay_side)i);

		sums.rates[i] = rates[i];
		if (*name)
			count_algorithm(&sums.legs[i], name, 1);
	}
	add_policy(&sample->all, &sums);
	policy = find_policy(sample, flow->policy);
	if (policy)
		add_policy(policy, &sums);
	sample->flows++;
	sample->moving += moves;
	return picked;
}

void
sample_take(
    struct sample *sample, struct flow_set *set, struct flow_cursor *cursor)
{
	int moving = MOVING_AT_A_TIME, flows = FLOWS_AT_A_TIME;
	int64_t now = clock_ms();

	while (moving && flows--) {
		struct flow *flow = flow_look_next(set, cursor);

		if (!flow)
			return;
		moving -= look_at(sample, flow, now);
	}
}

void
sample_add(struct sample *sum, const struct sample *from)
{
	sum->flows += from->flows;
	sum->moving += from->moving;
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
