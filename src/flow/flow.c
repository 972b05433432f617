#include "flow/flow.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "flow/flow_limit.h"
#include "flow/flow_log.h"
#include "flow/flow_view.h"

/* Flushing: how often to look, and how long without progress to wait. */
#define FLUSH_CHECK_MS 10
#define FLUSH_PATIENCE_MS 500

static const unsigned legal[FLOW_STATES] = {
	[FLOW_DIALLING] = 1 << FLOW_OPEN | 1 << FLOW_CLOSED,
	[FLOW_OPEN] =
	    1 << FLOW_HALF_CLOSED | 1 << FLOW_FLUSHING | 1 << FLOW_CLOSED,
	[FLOW_HALF_CLOSED] = 1 << FLOW_FLUSHING | 1 << FLOW_CLOSED,
	[FLOW_FLUSHING] = 1 << FLOW_CLOSED,
};

void
flow_enter(struct flow *flow, enum flow_state state)
{
	struct flow_list *lists = flow->set->lists;

	assert(legal[flow->state] & 1u << state);
	TAILQ_REMOVE(&lists[flow->state], flow, entry);
	flow->state = state;
	TAILQ_INSERT_TAIL(&lists[state], flow, entry);
}

/* A deadline, and the ending that it brings; ENDING_COUNT: none, a turn. */
struct deadline {
	int64_t at;
	enum ending ending;
};

static void
nearer(struct deadline *d, int64_t from, int64_t span, enum ending ending)
{
	if (span && from + span < d->at)
		*d = (struct deadline){ from + span, ending };
}

static struct deadline
next_deadline(const struct flow *flow)
{
	struct deadline d = { INT64_MAX, ENDING_COUNT };
	int64_t active = flow->relay.active_ms;

	nearer(&d, flow->opened_ms, flow->lifetime_ms, ENDING_LIFETIME);
	if (flow->state == FLOW_DIALLING) {
		nearer(&d, flow->opened_ms, flow->connect_ms,
		    ENDING_CONNECT_TIMEOUT);
		nearer(&d, 0, flow->redial_ms, ENDING_COUNT);
		return d;
	}
	if (flow->choices)
		nearer(&d, 0, flow->choices->trial_ms, ENDING_COUNT);
	if (flow->latency)
		nearer(&d, 0, flow->latency->look_ms, ENDING_COUNT);
	nearer(&d, active, flow->idle_ms, ENDING_IDLE);
	if (flow->state == FLOW_HALF_CLOSED)
		nearer(&d, active, flow->half_close_ms, ENDING_HALF_CLOSE);
	return d;
}

static void
arm_in(struct flow *flow, int64_t ms)
{
	struct timeval tv = clock_timeval(ms > 0 ? ms : 0);

	event_add(&flow->timer, &tv);
}

void
flow_arm(struct flow *flow)
{
	int64_t now = clock_ms(), at = next_deadline(flow).at;

	if (at != INT64_MAX)
		arm_in(flow, at - now);
	else
		event_del(&flow->timer);
}

/*
 * A time-out. The kernel gives it the name of the last ICMP error about the
 * connection, if there was one (tcp_write_err: sk_err_soft), which did no
 * harm when it came: icmp_err_convert, and tab_unreach of IPv6.
 */
static bool
is_silence(int err)
{
	switch (-err) {
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNREFUSED:
	case EACCES:
	case EPROTO:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EHOSTDOWN:
	case ENONET:
		return true;
	default:
		return false;
	}
}

static enum ending
failure_ending(const struct relay *relay)
{
	bool server = relay->first_failed == RELAY_SERVER;

	if (relay->failed_error == -ENOMEM)
		return ENDING_RESOURCES;
	if (is_silence(relay->failed_error))
		return server ? ENDING_SERVER_TIMEOUT : ENDING_CLIENT_TIMEOUT;
	return server ? ENDING_SERVER_RESET : ENDING_CLIENT_RESET;
}

/*
 * How long the rest may stand still. A reader that has stopped is told of
 * the reset within a second; a lossy link gets time to retransmit.
 */
static int64_t
flush_patience(const struct flow *flow)
{
	const struct leg *legs = flow->relay.legs;
	struct sock_info info;
	int64_t ms;

	sock_info(legs[legs[RELAY_CLIENT].failed].fd, &info);
	ms = info.unacked ? 3 * (int64_t)info.rto_us / 1000 : 0;
	return ms > FLUSH_PATIENCE_MS ? ms : FLUSH_PATIENCE_MS;
}

static void
on_flush_timer(struct flow *flow)
{
	uint64_t progress = relay_flush_progress(&flow->relay);
	int64_t now = clock_ms();

	if (progress != flow->flushed) {
		flow->flushed = progress;
		flow->flushed_ms = now;
	}
	if (relay_flushed(&flow->relay) ||
	    now - flow->flushed_ms >= flush_patience(flow))
		flow_close(flow, failure_ending(&flow->relay));
	else
		arm_in(flow, FLUSH_CHECK_MS);
}

/* What FLOW does now and then: look how a trial fares, and at its delay. */
static void
take_turn(struct flow *flow)
{
	struct latency *latency = flow->latency;
	int64_t now = clock_ms();

	if (flow->choices && flow->choices->trial_ms &&
	    flow->choices->trial_ms <= now)
		flow_judge(flow);
	if (latency && latency->look_ms && latency->look_ms <= now)
		latency_look(latency, &flow->relay);
	flow_arm(flow);
}

/* Bytes move again in a flow that had come to rest. */
static void
wake(struct flow *flow)
{
	if (flow->state == FLOW_FLUSHING)
		return;
	latency_wake(flow->latency);
	flow_arm(flow);
}

void
flow_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct flow *flow = arg;
	struct deadline d = next_deadline(flow);

	(void)fd;
	(void)what;
	if (flow->state == FLOW_FLUSHING)
		on_flush_timer(flow);
	else if (d.at > clock_ms())
		flow_arm(flow);
	else if (d.ending != ENDING_COUNT)
		flow_close(flow, d.ending);
	else if (flow->state == FLOW_DIALLING)
		flow_redial(flow);
	else
		take_turn(flow);
}

static void
on_outcome(struct relay *relay, enum relay_outcome outcome)
{
	struct flow *flow =
	    (struct flow *)((char *)relay - offsetof(struct flow, relay));

	switch (outcome) {
	case RELAY_HALF_CLOSED:
		flow_enter(flow, FLOW_HALF_CLOSED);
		flow_arm(flow);
		break;
	case RELAY_FINISHED:
		flow_close(flow,
		    relay->first_finished == RELAY_UP ? ENDING_CLIENT_FIN
						      : ENDING_SERVER_FIN);
		break;
	case RELAY_FAILING:
		flow_enter(flow, FLOW_FLUSHING);
		flow->flushed = relay_flush_progress(relay);
		flow->flushed_ms = clock_ms();
		arm_in(flow, FLUSH_CHECK_MS);
		break;
	case RELAY_FAILED:
		flow_close(flow, failure_ending(relay));
		break;
	case RELAY_WOKEN:
		wake(flow);
		break;
	}
}

static void
close_leg(struct leg *leg, bool reset)
{
	if (leg->fd < 0)
		return;
	if (reset)
		sock_reset(leg->fd);
	else
		close(leg->fd);
	leg->fd = -1;
}

/* Nobody is to look at FLOW any more. */
static void
leave_all(struct flow_set *set, struct flow *flow)
{
	struct flow_cursor *cursor;

	LIST_FOREACH(cursor, &set->cursors, entry)
		if (cursor->next == flow)
			cursor->next = TAILQ_NEXT(flow, all);
	TAILQ_REMOVE(&set->all, flow, all);
}

/* The line of the log, and the counters: before a peer can see the end. */
static void
account(struct flow *flow, enum ending ending)
{
	struct flow_set *set = flow->set;
	enum conf_flow_log format = (enum conf_flow_log)set->conf->log.flows;
	bool told = format != CONF_FLOWS_OFF && log_allow(LOG_LEVEL_INFO);
	struct flow_view last;

	flow_view_end(&last, flow, told);
	if (told)
		flow_log_end(&last, format, ending);
	if (!flow->policy_stats)
		flow_take_policy(flow, &set->conf->fallback);
	policy_stats_end(flow, &last, ending);
	flow_learn(flow);
	stats_add(&set->stats.flows_ended, 1);
	stats_add(&set->stats.endings[ending], 1);
	stats_add(&set->stats.bytes_up, last.bytes[RELAY_UP]);
	stats_add(&set->stats.bytes_down, last.bytes[RELAY_DOWN]);
}

void
flow_close(struct flow *flow, enum ending ending)
{
	struct flow_set *set = flow->set;
	struct relay *relay = &flow->relay;
	bool reset = ending_resets(ending);

	flow_enter(flow, FLOW_CLOSED);
	leave_all(set, flow);
	account(flow, ending);
	event_del(&flow->timer);
	relay_stop(relay);
	close_leg(&relay->legs[RELAY_CLIENT], reset);
	close_leg(&relay->legs[RELAY_SERVER], reset);
	flow_dismiss(flow);
	set->n_live--;
	atomic_fetch_sub_explicit(set->live_total, 1, memory_order_relaxed);
	poller_again(set->poller, &set->reaper);
}

static void
free_closed(struct flow_set *set)
{
	struct flow *flow;

	while ((flow = TAILQ_FIRST(&set->lists[FLOW_CLOSED]))) {
		TAILQ_REMOVE(&set->lists[FLOW_CLOSED], flow, entry);
		free(flow->latency);
		free(flow->choices);
		free(flow);
	}
}

static void
on_reap(struct poll_entry *reaper, uint32_t events)
{
	struct flow_set *set = (struct flow_set *)((char *)reaper -
	    offsetof(struct flow_set, reaper));

	(void)events;
	free_closed(set);
	if (set->n_live)
		return;
	pipe_pool_clear(&set->pipes);
	set->on_empty(set);
}

bool
flow_set_close(struct flow_set *set, uint64_t id, enum ending ending)
{
	struct flow *flow;

	TAILQ_FOREACH(flow, &set->all, all)
		if (flow->id == id) {
			flow_close(flow, ending);
			return true;
		}
	return false;
}

void
flow_set_close_all(struct flow_set *set, enum ending ending)
{
	struct flow *flow;

	for (int i = 0; i < FLOW_CLOSED; i++)
		while ((flow = TAILQ_FIRST(&set->lists[i])))
			flow_close(flow, ending);
}

int
flow_set_init(struct flow_set *set)
{
	for (int i = 0; i < FLOW_STATES; i++)
		TAILQ_INIT(&set->lists[i]);
	TAILQ_INIT(&set->all);
	LIST_INIT(&set->cursors);
	set->poller = poller_new(set->base);
	set->relays = (struct relay_shared){
		.poller = set->poller,
		.on_outcome = on_outcome,
		.pool = &set->pipes,
		.scratch = malloc(RELAY_SCRATCH),
		.stats = &set->stats,
	};
	if (!set->poller || !set->relays.scratch)
		return -ENOMEM;
	pipe_pool_init(&set->pipes);
	set->reaper.on_ready = on_reap;
	listeners_init(
	    &set->listeners, set->base, set->poller, &set->stats, flow_open);
	return 0;
}

void
flow_set_clear(struct flow_set *set)
{
	listeners_close(&set->listeners);
	free_closed(set);
	poller_free(set->poller);
	pipe_pool_clear(&set->pipes);
	free(set->relays.scratch);
	free(set->idle.flows);
	conf_unref(set->conf);
	free(set->policy_stats);
	localaddr_unref(set->local);
}
