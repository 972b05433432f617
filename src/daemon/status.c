#include "daemon/status.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/console.h"
#include "daemon/page.h"
#include "daemon/policies.h"
#include "daemon/sampler.h"
#include "daemon/signals.h"
#include "daemon/state.h"

/* More than that no page shows, and no browser wants every two seconds. */
#define POLICIES_MAX 256

/* Six digits do for what was measured. */
#define TEXT_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(6))

static const struct sample_policy unseen;

/* --- parts of the answer --- */

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* What was not measured is null. */
static json_t *
measured(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static double
quotient(uint64_t sum, uint64_t n)
{
	return n ? (double)sum / (double)n : NAN;
}

static json_t *
algorithms(const struct sample_leg *leg)
{
	json_t *object = json_object();

	for (size_t i = 0; i < SAMPLE_ALGORITHMS; i++)
		if (leg->algorithms[i].legs)
			json_object_set_new(object, leg->algorithms[i].name,
			    number(leg->algorithms[i].legs));
	return object;
}

static json_t *
policy_leg(const struct sample_leg *leg)
{
	return json_pack("{s:I, s:o, s:o, s:o}", "slow", (json_int_t)leg->slow,
	    "cc", algorithms(leg), "rtt_us",
	    measured(quotient(leg->rtt_us, leg->measured)), "retrans",
	    measured(quotient(leg->retransmits, leg->segments)));
}

static json_t *
busiest(const struct sample *sample)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sample->n_busiest; i++)
		json_array_append_new(
		    array, console_flow_json(&sample->busiest[i]));
	return array;
}

/* A column of a series: one number or null for each point. */
static void
add_column(json_t *object, const char *name, const struct sampler *sampler,
    const struct sampler_series *series, size_t offset)
{
	json_t *array = json_array();

	for (size_t i = 0; series && i < SAMPLER_POINTS; i++) {
		const struct sampler_point *p =
		    sampler_point(sampler, series, i);
		float value;

		if (!p->ms)
			continue;
		memcpy(&value, (const char *)p + offset, sizeof(value));
		json_array_append_new(array, measured(value));
	}
	json_object_set_new(object, name, array);
}

static void
add_ages(json_t *object, const struct sampler *sampler,
    const struct sampler_series *series)
{
	json_t *array = json_array();
	int64_t now = clock_ms();

	for (size_t i = 0; series && i < SAMPLER_POINTS; i++) {
		int64_t ms = sampler_point(sampler, series, i)->ms;

		if (ms)
			json_array_append_new(array, json_integer(now - ms));
	}
	json_object_set_new(object, "ago_ms", array);
}

#define FIELD(field, i) \
	(offsetof(struct sampler_point, field) + (i) * sizeof(float))

/* The last minutes of POLICY, NULL for all. */
static json_t *
minutes(const struct sampler *sampler, const char *policy)
{
	static const struct {
		const char *name;
		size_t offset;
	} columns[] = {
		{ "up", FIELD(rates, RELAY_UP) },
		{ "down", FIELD(rates, RELAY_DOWN) },
		{ "client_rtt_us", FIELD(rtt_us, RELAY_CLIENT) },
		{ "server_rtt_us", FIELD(rtt_us, RELAY_SERVER) },
		{ "client_retrans", FIELD(retrans, RELAY_CLIENT) },
		{ "server_retrans", FIELD(retrans, RELAY_SERVER) },
	};
	const struct sampler_series *series = sampler_series(sampler, policy);
	json_t *object = json_pack("{s:s?, s:i}", "policy", policy, "span_ms",
	    SAMPLER_POINTS * SAMPLER_PERIOD_MS);

	add_ages(object, sampler, series);
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
		add_column(object, columns[i].name, sampler, series,
		    columns[i].offset);
	return object;
}

/* --- the answer --- */

static const struct sample_policy *
find_sample(const struct sample *sample, const char *name)
{
	for (size_t i = 0; i < sample->n_policies; i++)
		if (sample->policies[i].name == name)
			return &sample->policies[i];
	return &unseen;
}

static json_t *
endings(const struct policy_stats *counts)
{
	json_t *object = json_object();

	for (int i = 0; i < ENDING_COUNT; i++)
		if (counts->endings[i])
			json_object_set_new(object, ending_word((enum ending)i),
			    number(counts->endings[i]));
	return object;
}

static json_t *
policy_object(
    const char *name, const struct daemon *d, const struct sample *sample)
{
	const struct sample_policy *p = find_sample(sample, name);
	struct policies_sum sum = { 0 };
	const struct policy_stats *counts = &sum.stats;
	const double *rates = sum.rates[POLICIES_10S];
	json_t *object = json_object();
	uint64_t opened;

	policies_add(d->policies, name, &sum);
	opened = counts->flows_opened;
	json_object_set_new(object, "name", json_string(name));
	json_object_set_new(
	    object, "flows_active", number(opened - counts->flows_ended));
	json_object_set_new(object, "flows_opened", number(opened));
	json_object_set_new(object, "up", number(counts->bytes_up));
	json_object_set_new(object, "down", number(counts->bytes_down));
	json_object_set_new(object, "rate_up", json_real(rates[POLICIES_UP]));
	json_object_set_new(
	    object, "rate_down", json_real(rates[POLICIES_DOWN]));
	json_object_set_new(
	    object, "congestion_refused", number(counts->congestion_refused));
	json_object_set_new(object, "endings", endings(counts));
	json_object_set_new(
	    object, "client", policy_leg(&p->legs[RELAY_CLIENT]));
	json_object_set_new(
	    object, "server", policy_leg(&p->legs[RELAY_SERVER]));
	return object;
}

/* The I-th policy of CONF, the built-in one last. */
static const char *
policy_name(const struct conf *conf, size_t i)
{
	return i < conf->n_policies ? conf->policies[i].name
				    : conf->fallback.name;
}

static bool
is_configured(const struct conf *conf, const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (policy_name(conf, i) == name)
			return true;
	return false;
}

/* In the order of the file; then those that only live flows have. */
static json_t *
policies(const struct daemon *d, const struct sample *sample)
{
	const struct conf *conf = d->conf;
	size_t n = conf->n_policies;
	json_t *array = json_array();

	for (size_t i = 0; i <= n && i < POLICIES_MAX; i++)
		if (i < n || !is_configured(conf, conf->fallback.name, n))
			json_array_append_new(array,
			    policy_object(policy_name(conf, i), d, sample));
	for (size_t i = 0; i < sample->n_policies; i++) {
		const char *name = sample->policies[i].name;

		if (!is_configured(conf, name, n + 1))
			json_array_append_new(
			    array, policy_object(name, d, sample));
	}
	return array;
}

/* Bits a second of all policies that the array LIST has. */
static double
total_rate(const json_t *list, const char *rate)
{
	double sum = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		sum += json_number_value(
		    json_object_get(json_array_get(list, i), rate));
	return sum;
}

/* The longest that any worker kept a message waiting. */
static int64_t
lag_us(const struct daemon *d)
{
	int64_t longest = 0;

	for (size_t i = 0; i < d->shared.n_workers; i++) {
		int64_t lag = sampler_lag_us(d->sampler, i);

		if (lag > longest)
			longest = lag;
	}
	return longest;
}

static void
add_figures(json_t *object, const struct daemon *d, const struct stats *sum)
{
	const struct {
		const char *name;
		int64_t value;
	} figures[] = {
		{ "pid", getpid() },
		{ "uptime_ms", clock_ms() - d->started_ms },
		{ "workers", (int64_t)d->shared.n_workers },
		{ "flows_active", d->live_total },
		{ "flows_opened", (int64_t)sum->flows_opened },
		{ "congestion_refused", (int64_t)sum->congestion_refused },
		{ "reloads_good", (int64_t)d->reloads_good },
		{ "reloads_refused", (int64_t)d->reloads_refused },
	};

	json_object_set_new(object, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(object, "draining", json_boolean(d->draining));
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		json_object_set_new(
		    object, figures[i].name, json_integer(figures[i].value));
}

static json_t *
answer(const struct daemon *d, const char *policy)
{
	json_t *object = json_object();
	struct stats sum = { 0 };
	json_t *list;
	int64_t age_ms;
	const struct sample *sample = sampler_last(d->sampler, &age_ms);

	list = policies(d, sample);
	signals_sum_stats(d, &sum);
	add_figures(object, d, &sum);
	json_object_set_new(
	    object, "rate_up", json_real(total_rate(list, "rate_up")));
	json_object_set_new(
	    object, "rate_down", json_real(total_rate(list, "rate_down")));
	json_object_set_new(object, "loop_lag_us", json_integer(lag_us(d)));
	json_object_set_new(object, "sample_age_ms", json_integer(age_ms));
	json_object_set_new(object, "flows_sampled", number(sample->flows));
	json_object_set_new(object, "policies", list);
	json_object_set_new(object, "series", minutes(d->sampler, policy));
	json_object_set_new(object, "busiest", busiest(sample));
	return object;
}

/* The interned name of the policy that REQUEST asks for, or NULL. */
static const char *
asked_policy(const struct daemon *d, struct evhttp_request *request)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
	const char *wanted, *found = NULL;
	struct evkeyvalq list;

	if (!query || evhttp_parse_query_str(query, &list))
		return NULL;
	wanted = evhttp_find_header(&list, "policy");
	for (size_t i = 0; wanted && i <= d->conf->n_policies; i++) {
		const char *name = policy_name(d->conf, i);

		if (!strcmp(name, wanted))
			found = name;
	}
	evhttp_clear_headers(&list);
	return found;
}

int
status_write(const struct daemon *d, struct evhttp_request *request,
    struct evbuffer *out)
{
	json_t *object = answer(d, asked_policy(d, request));
	char *text = object ? json_dumps(object, TEXT_FLAGS) : NULL;
	int err = -ENOMEM;

	if (text && !evbuffer_add(out, text, strlen(text)))
		err = 0;
	free(text);
	json_decref(object);
	return err;
}

/* --- the page --- */

#define NONCE_BYTES 16

static int
make_nonce(char text[2 * NONCE_BYTES + 1])
{
	unsigned char bytes[NONCE_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < NONCE_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

int
status_write_page(struct evhttp_request *request, struct evbuffer *out)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	char nonce[2 * NONCE_BYTES + 1], policy[256];
	const char *rest = page_html, *mark;
	int err = make_nonce(nonce);

	if (err)
		return err;
	/* Only its own script and style run, and it asks only us. */
	snprintf(policy, sizeof(policy),
	    "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
	    "connect-src 'self'; img-src data:; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'",
	    nonce, nonce);
	evhttp_add_header(headers, "Content-Security-Policy", policy);
	for (; (mark = strstr(rest, PAGE_NONCE));
	     rest = mark + strlen(PAGE_NONCE)) {
		err |= evbuffer_add(out, rest, (size_t)(mark - rest));
		err |= evbuffer_add(out, nonce, strlen(nonce));
	}
	err |= evbuffer_add(out, rest, strlen(rest));
	return err ? -ENOMEM : 0;
}
