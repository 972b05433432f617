/*
 * `show flows`: a worker looks at some of its flows at a time and hands the
 * plain values to main, which prints them when the client has room: neither
 * a relay nor a slow reader waits for the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/console.h"
#include "daemon/state.h"
#include "flow/flow_view.h"

/*
 * Flows at rest are in no cache, and one costs a worker up to 20 us: so few
 * that who comes meanwhile hardly notices (`make bench-watch').
 */
#define BATCH 2

/* What --sort keeps in memory at most, and unless --limit says otherwise. */
#define SORTED_MAX 10000
#define SORTED_DEFAULT 100

typedef uint64_t key_fn(const struct flow_view *view);

struct listing {
	struct worker_errand errand;
	struct control_job job;
	struct control_peer *peer; /* NULL: gone */
	struct daemon *daemon;
	struct flow_filter filter;
	char policy[80]; /* filter's */
	struct flow_cursor cursor;
	size_t worker;
	bool under_way; /* the errand is with the worker */
	bool enough;	/* the worker is to let go of the cursor */
	bool walked;	/* all workers have been asked */
	key_fn *key;	/* NULL: as they come */
	uint64_t limit; /* flows; 0: no limit */
	uint64_t n_printed;
	struct flow_view *sorted; /* room for 2 * limit */
	size_t n_sorted;
	size_t n;
	struct flow_view views[BATCH];
};

/* --- as JSON ------------------------------------------------------- */

static json_t *
leg_json(const struct flow_view_leg *leg)
{
	const struct sock_info *i = &leg->info;

	if (!leg->there)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
			 " s:I, s:I, s:s, s:I, s:I, s:I, s:b}",
	    "cc", leg->cc, "rtt_us", (json_int_t)i->rtt_us, "rttvar_us",
	    (json_int_t)i->rttvar_us, "min_rtt_us", (json_int_t)i->min_rtt_us,
	    "cwnd", (json_int_t)i->cwnd, "mss", (json_int_t)i->mss,
	    "delivery_rate", (json_int_t)i->delivery_rate, "segments",
	    (json_int_t)i->segments, "retrans", (json_int_t)i->retransmits,
	    "unsent", (json_int_t)i->unsent, "unread", (json_int_t)leg->unread,
	    "queued", (json_int_t)leg->queued, "limit",
	    flow_limit_word(leg->limit), "busy_us", (json_int_t)i->busy_us,
	    "rwnd_limited_us", (json_int_t)i->rwnd_limited_us,
	    "sndbuf_limited_us", (json_int_t)i->sndbuf_limited_us,
	    "app_limited", (int)i->app_limited);
}

static bool
is_slow(const struct flow_view_leg *leg)
{
	return leg->limit == FLOW_LIMIT_SENDING ||
	    leg->limit == FLOW_LIMIT_RECEIVE_WINDOW;
}

/* Which leg bytes wait for; NULL: neither. */
static const char *
slow_leg(const struct flow_view *view)
{
	bool client = is_slow(&view->legs[RELAY_CLIENT]);
	bool server = is_slow(&view->legs[RELAY_SERVER]);

	if (client)
		return server ? "both" : "client";
	return server ? "server" : NULL;
}

json_t *
console_flow_json(const struct flow_view *view)
{
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I,"
			 " s:I, s:s, s:s, s:s?, s:o, s:o}",
	    "id", (json_int_t)view->id, "policy", view->policy, "src",
	    addr_format(&view->src, src), "dst", addr_format(&view->dst, dst),
	    "up", (json_int_t)view->bytes[RELAY_UP], "down",
	    (json_int_t)view->bytes[RELAY_DOWN], "rate_up",
	    (json_int_t)view->rates[RELAY_UP], "rate_down",
	    (json_int_t)view->rates[RELAY_DOWN], "ms", (json_int_t)view->age_ms,
	    "idle_ms", (json_int_t)view->idle_ms, "connect_ms",
	    (json_int_t)view->connect_ms, "state", flow_state_word(view->state),
	    "engine", view->engine, "slow", slow_leg(view), "client",
	    leg_json(&view->legs[RELAY_CLIENT]), "server",
	    leg_json(&view->legs[RELAY_SERVER]));
}

/* --- sorting ------------------------------------------------------- */

static uint64_t
by_rate(const struct flow_view *view)
{
	return view->rates[RELAY_UP] + view->rates[RELAY_DOWN];
}

static uint64_t
by_age(const struct flow_view *view)
{
	return (uint64_t)view->age_ms;
}

static uint64_t
by_retrans(const struct flow_view *view)
{
	return (uint64_t)view->legs[RELAY_CLIENT].info.retransmits +
	    view->legs[RELAY_SERVER].info.retransmits;
}

static const struct {
	const char *name;
	key_fn *key;
} sorts[] = {
	{ "rate", by_rate },
	{ "age", by_age },
	{ "retrans", by_retrans },
};

/* The largest first, and among equals the oldest. */
static int
compare(const void *a, const void *b, void *arg)
{
	const struct flow_view *x = a, *y = b;
	uint64_t kx = ((struct listing *)arg)->key(x);
	uint64_t ky = ((struct listing *)arg)->key(y);

	if (kx != ky)
		return kx > ky ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void
sort(struct listing *l)
{
	qsort_r(l->sorted, l->n_sorted, sizeof(*l->sorted), compare, l);
	if (l->n_sorted > l->limit)
		l->n_sorted = l->limit;
}

static void
keep(struct listing *l, const struct flow_view *view)
{
	if (l->n_sorted == 2 * l->limit)
		sort(l);
	l->sorted[l->n_sorted++] = *view;
}

/* --- the walk ------------------------------------------------------ */

static void
listing_free(struct listing *l)
{
	free(l->sorted);
	free(l);
}

static void
end(struct listing *l, int status, const char *why)
{
	if (l->peer)
		control_end(l->peer, status, "%s", why);
	listing_free(l);
}

/* On the worker's thread. */
static void
look(struct worker_errand *errand, struct flow_set *flows)
{
	struct listing *l = (struct listing *)errand;

	l->n = 0;
	if (l->enough)
		flow_look_leave(&l->cursor);
	else
		l->n =
		    flow_look(flows, &l->cursor, &l->filter, l->views, BATCH);
}

static void
send_out(struct listing *l)
{
	l->under_way = !worker_send(l->daemon->workers[l->worker], &l->errand);
	/* A cursor that stays behind would be used after it is freed. */
	if (!l->under_way && !l->cursor.begun)
		end(l, EXIT_FAILURE, strerror(ENOMEM));
}

/* Prints what was sorted, while there is room. True: all is said. */
static bool
print_sorted(struct listing *l)
{
	while (l->n_printed < l->n_sorted) {
		if (control_is_full(l->peer))
			return false;
		control_print(
		    l->peer, console_flow_json(&l->sorted[l->n_printed++]));
	}
	return true;
}

static void
next_worker(struct listing *l)
{
	l->cursor = (struct flow_cursor){ 0 };
	l->walked = l->enough || ++l->worker == l->daemon->shared.n_workers;
	if (l->walked && l->key)
		sort(l);
}

/* The next step, with the errand at home and the peer there. */
static void
go_on(struct listing *l)
{
	if (!l->walked && l->cursor.done)
		next_worker(l);
	if (!l->walked && (l->enough || !control_is_full(l->peer)))
		send_out(l);
	else if (l->walked && (!l->key || print_sorted(l)))
		end(l, EX_OK, "");
}

static void
take(struct listing *l, const struct flow_view *view)
{
	if (l->key) {
		keep(l, view);
	} else if (!l->enough) {
		control_print(l->peer, console_flow_json(view));
		l->enough = ++l->n_printed == l->limit;
	}
}

/* Nobody is there to hear: no worker may keep the cursor. */
static void
give_up(struct listing *l)
{
	if (!l->cursor.begun || l->cursor.done || !l->daemon->console) {
		listing_free(l); /* without console: the worker has gone */
		return;
	}
	l->enough = true;
	send_out(l);
}

static void
on_looked(struct worker_errand *errand)
{
	struct listing *l = (struct listing *)errand;

	l->under_way = false;
	for (size_t i = 0; l->peer && i < l->n; i++)
		take(l, &l->views[i]);
	if (l->peer)
		go_on(l);
	else
		give_up(l);
}

static struct listing *
listing_of(struct control_job *job)
{
	return (struct listing *)((char *)job - offsetof(struct listing, job));
}

static void
on_room(struct control_job *job)
{
	if (!listing_of(job)->under_way)
		go_on(listing_of(job));
}

static void
on_gone(struct control_job *job)
{
	struct listing *l = listing_of(job);

	l->peer = NULL;
	if (!l->under_way)
		give_up(l);
}

/* --- the request --------------------------------------------------- */

static const char *
take_prefix(const char *text, bool *has, struct prefix *prefix)
{
	*has = text;
	if (!text || prefix_parse(prefix, text) == PREFIX_OK)
		return NULL;
	return "src and dst are prefixes: 192.0.2.0/24";
}

static const char *
take_sort(struct listing *l, const char *text)
{
	for (size_t i = 0; text && i < sizeof(sorts) / sizeof(*sorts); i++)
		if (!strcmp(text, sorts[i].name))
			l->key = sorts[i].key;
	if (!text || l->key)
		return NULL;
	return "sort is one of rate, age, retrans";
}

static const char *
take_limit(struct listing *l, const char *text)
{
	if (text &&
	    !request_number(
		text, 1, l->key ? SORTED_MAX : UINT64_MAX, &l->limit))
		return l->key ? "limit is a number, 1 to 10000 with sort"
			      : "limit is a number from 1 on";
	if (!l->key)
		return NULL;
	if (!l->limit)
		l->limit = SORTED_DEFAULT;
	l->sorted = calloc(2 * l->limit, sizeof(*l->sorted));
	return l->sorted ? NULL : strerror(ENOMEM);
}

/* What R asks for. What is wrong with it, or NULL. */
static const char *
take_request(struct listing *l, const struct request *r)
{
	struct flow_filter *f = &l->filter;
	const char *policy = request_value(r, "policy"), *why;

	if (policy && strlen(policy) >= sizeof(l->policy))
		return "there is no policy with such a long name";
	if (policy)
		f->policy = strcpy(l->policy, policy);
	why = take_prefix(request_value(r, "src"), &f->has_src, &f->src);
	if (!why)
		why =
		    take_prefix(request_value(r, "dst"), &f->has_dst, &f->dst);
	if (!why)
		why = take_sort(l, request_value(r, "sort"));
	return why ? why : take_limit(l, request_value(r, "limit"));
}

void
console_show_flows(
    struct daemon *d, struct control_peer *peer, const struct request *r)
{
	struct listing *l = calloc(1, sizeof(*l));
	const char *why;

	if (!l) {
		control_end(peer, EXIT_FAILURE, "%s", strerror(ENOMEM));
		return;
	}
	why = take_request(l, r);
	if (why) {
		listing_free(l);
		control_end(peer, EX_USAGE, "%s", why);
		return;
	}
	l->errand = (struct worker_errand){ look, on_looked };
	l->job = (struct control_job){ on_room, on_gone };
	l->daemon = d;
	l->peer = peer;
	control_wait(peer, &l->job);
	send_out(l);
}
