/* `show policies`: what the flows of each policy were like. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/console.h"
#include "daemon/policies.h"
#include "daemon/state.h"
#include "flow/choosers.h"
#include "flow/relay.h"

#define NETWORKS 16 /* of which a leg that is "auto" tells */

static uint64_t
get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static json_t *
integer(const stats_counter *counter)
{
	return json_integer((json_int_t)get(counter));
}

static json_t *
quantiles(const struct histogram *h)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "count",
	    (json_int_t)histogram_count(h), "p50",
	    (json_int_t)histogram_quantile(h, 50), "p90",
	    (json_int_t)histogram_quantile(h, 90), "p99",
	    (json_int_t)histogram_quantile(h, 99));
}

static json_t *
rates(const double span[POLICIES_RATES])
{
	return json_pack("{s:I, s:I, s:f}", "up",
	    (json_int_t)(span[POLICIES_UP] + 0.5), "down",
	    (json_int_t)(span[POLICIES_DOWN] + 0.5), "flows",
	    span[POLICIES_FLOWS]);
}

/* One leg's row: what the file asks for, and what the kernel has seen. */
static json_t *
leg(const char *cc, const stats_counter *segments, const stats_counter *retrans,
    const struct histogram *rtt, const struct histogram *share)
{
	return json_pack("{s:s?, s:o, s:o, s:o, s:o}", "cc", cc, "segments",
	    integer(segments), "retrans", integer(retrans), "rtt_us",
	    quantiles(rtt), "retrans_ppm", quantiles(share));
}

static json_t *
network_json(const struct choosers_view *view)
{
	char text[PREFIX_TEXT_MAX];
	json_t *list = json_array();

	for (size_t i = 0; i < view->n; i++)
		json_array_append_new(list,
		    json_pack("{s:s, s:I, s:I, s:I}", "cc", view->arms[i].name,
			"flows", (json_int_t)view->arms[i].flows, "compared",
			(json_int_t)view->arms[i].told, "rate",
			(json_int_t)view->arms[i].rate));
	return json_pack("{s:s, s:s?, s:o}", "network",
	    prefix_format(&view->peers, text), "best",
	    view->best < view->n ? view->arms[view->best].name : NULL,
	    "algorithms", list);
}

/* What "auto" has seen on a leg of the policy NAME. */
static json_t *
auto_json(struct daemon *d, const char *name, enum relay_side side)
{
	struct choosers_view views[NETWORKS];
	size_t n =
	    choosers_look(d->shared.choosers, name, side, views, NETWORKS);
	json_t *list = json_array();

	for (size_t i = 0; i < n && i < NETWORKS; i++)
		json_array_append_new(list, network_json(&views[i]));
	return json_pack(
	    "{s:I, s:o}", "networks", (json_int_t)n, "recent", list);
}

static void
add_auto(struct daemon *d, json_t *object, const struct policy *policy)
{
	if (policy->client.n_congestion_among)
		json_object_set_new(json_object_get(object, "client"), "auto",
		    auto_json(d, policy->name, RELAY_CLIENT));
	if (policy->server.n_congestion_among)
		json_object_set_new(json_object_get(object, "server"), "auto",
		    auto_json(d, policy->name, RELAY_SERVER));
}

/* POLICY is NULL for one that is no longer configured, and for sums. */
static json_t *
policy_json(struct daemon *d, const char *name, const struct policy *policy,
    const struct policies_sum *sum)
{
	const struct policy_stats *s = &sum->stats;
	const char *cc[2] = { NULL, NULL };
	json_t *object, *endings = json_object();

	for (int i = 0; i < ENDING_COUNT; i++)
		json_object_set_new(endings, ending_word((enum ending)i),
		    integer(&s->endings[i]));
	if (policy) {
		cc[0] = policy->client.congestion;
		cc[1] = policy->server.congestion;
	}
	for (int i = 0; i < 2; i++)
		if (cc[i] && !*cc[i])
			cc[i] = "system";
	object = json_pack("{s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:o}", "policy",
	    name, "configured", policy != NULL, "flows_active",
	    (json_int_t)(get(&s->flows_opened) - get(&s->flows_ended)),
	    "flows_opened", integer(&s->flows_opened), "flows_ended",
	    integer(&s->flows_ended), "up", integer(&s->bytes_up), "down",
	    integer(&s->bytes_down), "congestion_refused",
	    integer(&s->congestion_refused));
	if (!object) {
		json_decref(endings);
		return NULL;
	}
	json_object_set_new(object, "rates",
	    json_pack("{s:o, s:o, s:o}", "1s", rates(sum->rates[POLICIES_1S]),
		"10s", rates(sum->rates[POLICIES_10S]), "60s",
		rates(sum->rates[POLICIES_60S])));
	json_object_set_new(object, "connect_ms", quantiles(&s->connect_ms));
	json_object_set_new(object, "duration_ms", quantiles(&s->duration_ms));
	json_object_set_new(object, "client",
	    leg(cc[0], &s->client_segments, &s->client_retrans,
		&s->client_rtt_us, &s->client_retrans_ppm));
	json_object_set_new(object, "server",
	    leg(cc[1], &s->server_segments, &s->server_retrans,
		&s->server_rtt_us, &s->server_retrans_ppm));
	json_object_set_new(object, "endings", endings);
	if (policy)
		add_auto(d, object, policy);
	return object;
}

static const struct policy *
policy_at(const struct conf *conf, size_t i)
{
	return i < conf->n_policies ? &conf->policies[i] : &conf->fallback;
}

/* The policy of CONF that is called NAME, which is interned. */
static const struct policy *
policy_called(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i <= conf->n_policies; i++)
		if (policy_at(conf, i)->name == name)
			return policy_at(conf, i);
	return NULL;
}

static void
print_one(struct daemon *d, struct control_peer *peer, const char *name,
    const struct policy *policy)
{
	struct policies_sum sum = { 0 };

	policies_add(d->policies, name, &sum);
	control_print(peer, policy_json(d, name, policy, &sum));
}

/* Those of the file, then those that have live flows all the same. */
static void
print_all(struct daemon *d, struct control_peer *peer)
{
	const char *name;

	for (size_t i = 0; i < d->conf->n_policies; i++)
		print_one(
		    d, peer, d->conf->policies[i].name, &d->conf->policies[i]);
	for (size_t i = 0; (name = policies_name(d->policies, i)); i++) {
		const struct policy *policy = policy_called(d->conf, name);
		struct policies_sum sum = { 0 };

		if (policy && policy != &d->conf->fallback)
			continue;
		policies_add(d->policies, name, &sum);
		if (policy ||
		    get(&sum.stats.flows_opened) != get(&sum.stats.flows_ended))
			control_print(peer, policy_json(d, name, policy, &sum));
	}
}

/* WHAT is a policy, or an algorithm of client legs. False: neither. */
static bool
compare_one(struct daemon *d, struct control_peer *peer, const char *what)
{
	struct policies_sum sum = { 0 };
	bool found = false;
	const char *name;

	for (size_t i = 0; (name = policies_name(d->policies, i)); i++)
		if (!strcmp(name, what)) {
			print_one(d, peer, name, policy_called(d->conf, name));
			return true;
		}
	for (size_t i = 0; i <= d->conf->n_policies; i++) {
		const struct policy *p = policy_at(d->conf, i);
		const char *cc = p->client.congestion;

		/* A policy may be called "default" as the fallback is. */
		if (strcmp(*cc ? cc : "system", what) ||
		    policy_called(d->conf, p->name) != p)
			continue;
		policies_add(d->policies, p->name, &sum);
		found = true;
	}
	if (found)
		control_print(peer, policy_json(d, what, NULL, &sum));
	return found;
}

void
console_show_policies(
    struct daemon *d, struct control_peer *peer, const struct request *r)
{
	const char *pair = request_value(r, "compare");
	char name[80];

	/* Each is kilobytes of answer: a line holds thousands of names. */
	if (pair && strchr(pair, ',') != strrchr(pair, ',')) {
		control_end(peer, EX_USAGE, "compare takes two names");
		return;
	}
	if (!pair)
		print_all(d, peer);
	while (pair && *pair) {
		size_t len = strcspn(pair, ",");

		if (len >= sizeof(name))
			len = sizeof(name) - 1;
		memcpy(name, pair, len);
		name[len] = '\0';
		if (!compare_one(d, peer, name)) {
			control_end(peer, EXIT_FAILURE,
			    "there is no policy, and no policy with the "
			    "algorithm, \"%s\"",
			    name);
			return;
		}
		pair += strcspn(pair, ",");
		pair += *pair == ',';
	}
	control_end(peer, EX_OK, "%s", "");
}
