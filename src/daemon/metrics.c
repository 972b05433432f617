#include "daemon/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/policies.h"
#include "daemon/sampler.h"
#include "daemon/signals.h"
#include "daemon/state.h"

#define LABELS_MAX 128 /* a name has 64 bytes at most */

/* One answer to Prometheus while it is written. */
struct scrape {
	const struct daemon *d;
	const struct sample *sample;
	struct stats stats; /* the sum of all workers */
	struct policies policies;
	struct evbuffer *out;
	const char *name; /* of the metric at hand */
	int err;
};

typedef void write_samples(struct scrape *s);

__attribute__((format(printf, 2, 3))) static void
print(struct scrape *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (evbuffer_add_vprintf(s->out, format, ap) < 0)
		s->err = -ENOMEM;
	va_end(ap);
}

static void
print_count(struct scrape *s, uint64_t value)
{
	print(s, "%s %" PRIu64 "\n", s->name, value);
}

static void
write_build_info(struct scrape *s)
{
	print(s, "%s{version=\"%s\",libevent=\"%s\"} 1\n", s->name,
	    PACKAGE_VERSION, event_get_version());
}

static void
write_start_time(struct scrape *s)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	print(s, "%s %.3f\n", s->name,
	    (double)now.tv_sec + (double)now.tv_usec / 1e6 -
		(double)(clock_ms() - s->d->started_ms) / 1e3);
}

static void
write_loaded(struct scrape *s)
{
	print(s, "%s %" PRId64 "\n", s->name, s->d->loaded_at);
}

static void
write_workers(struct scrape *s)
{
	print_count(s, s->d->shared.n_workers);
}

static void
write_draining(struct scrape *s)
{
	print_count(s, s->d->draining);
}

static void
write_congestion_refused(struct scrape *s)
{
	print_count(s, s->stats.congestion_refused);
}

static void
write_options_refused(struct scrape *s)
{
	print_count(s, s->stats.options_refused);
}

static void
write_accept_pauses(struct scrape *s)
{
	print_count(s, s->stats.accept_pauses);
}

static void
write_reloads(struct scrape *s)
{
	print(s, "%s{result=\"good\"} %" PRIu64 "\n", s->name,
	    s->d->reloads_good);
	print(s, "%s{result=\"refused\"} %" PRIu64 "\n", s->name,
	    s->d->reloads_refused);
}

static void
write_open_fds(struct scrape *s)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!dir)
		return;
	while (readdir(dir))
		n++;
	closedir(dir);
	/* Without ".", ".." and the folder's own. */
	print_count(s, n - 3);
}

static void
write_max_fds(struct scrape *s)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit))
		print_count(s, limit.rlim_cur);
}

static void
write_loop_lag(struct scrape *s)
{
	for (size_t i = 0; i < s->d->shared.n_workers; i++)
		print(s, "%s{worker=\"%zu\"} %.6f\n", s->name, i,
		    (double)sampler_lag_us(s->d->sampler, i) / 1e6);
}

/* --- by policy --- */

static const char *const leg_words[] = { "client", "server" };

static void
write_opened(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++)
		print(s, "%s{policy=\"%s\"} %" PRIu64 "\n", s->name,
		    s->policies.rows[i].name, s->policies.rows[i].flows_opened);
}

static void
write_active(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++) {
		const struct policy_stats *p = &s->policies.rows[i];
		uint64_t opened = p->flows_opened, ended = p->flows_ended;

		/* One that ended while they were summed up is in one of them. */
		print(s, "%s{policy=\"%s\"} %" PRIu64 "\n", s->name, p->name,
		    opened > ended ? opened - ended : 0);
	}
}

static void
write_ended(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++)
		for (int e = 0; e < ENDING_COUNT; e++)
			print(s,
			    "%s{policy=\"%s\",ending=\"%s\"} %" PRIu64 "\n",
			    s->name, s->policies.rows[i].name,
			    ending_word((enum ending)e),
			    s->policies.rows[i].endings[e]);
}

static void
write_bytes(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++) {
		const struct policy_stats *p = &s->policies.rows[i];

		print(s, "%s{policy=\"%s\",lane=\"up\"} %" PRIu64 "\n", s->name,
		    p->name, p->bytes_up);
		print(s, "%s{policy=\"%s\",lane=\"down\"} %" PRIu64 "\n",
		    s->name, p->name, p->bytes_down);
	}
}

/* Counters of the client leg and of the server leg. */
static void
print_legs(struct scrape *s, size_t client, size_t server)
{
	for (size_t i = 0; i < 2 * s->policies.n; i++) {
		const struct policy_stats *p = &s->policies.rows[i / 2];
		const stats_counter *counter =
		    (const stats_counter *)(const void *)((const char *)p +
			(i % 2 ? server : client));

		print(s, "%s{policy=\"%s\",leg=\"%s\"} %" PRIu64 "\n", s->name,
		    p->name, leg_words[i % 2], *counter);
	}
}

static void
write_segments(struct scrape *s)
{
	print_legs(s, offsetof(struct policy_stats, client_segments),
	    offsetof(struct policy_stats, server_segments));
}

static void
write_retransmits(struct scrape *s)
{
	print_legs(s, offsetof(struct policy_stats, client_retransmits),
	    offsetof(struct policy_stats, server_retransmits));
}

static void
write_policy_refused(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++)
		print(s, "%s{policy=\"%s\"} %" PRIu64 "\n", s->name,
		    s->policies.rows[i].name,
		    s->policies.rows[i].congestion_refused);
}

/* LABELS stand before "le"; values are in microseconds. */
static void
print_histogram(struct scrape *s, const struct histogram *h,
    enum histogram_scale scale, const char *labels)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		sum += h->counts[i];
		print(s, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", s->name,
		    labels, (double)histogram_bound(scale, i) / 1e6, sum);
	}
	sum += h->counts[HISTOGRAM_BUCKETS - 1];
	print(
	    s, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", s->name, labels, sum);
	print(s, "%s_sum{%s} %.6f\n", s->name, labels, (double)h->sum / 1e6);
	print(s, "%s_count{%s} %" PRIu64 "\n", s->name, labels, sum);
}

static void
write_connect(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++) {
		const struct policy_stats *p = &s->policies.rows[i];
		char labels[LABELS_MAX];

		snprintf(labels, sizeof(labels), "policy=\"%s\"", p->name);
		print_histogram(s, &p->connect, HISTOGRAM_TIME, labels);
	}
}

static void
write_duration(struct scrape *s)
{
	for (size_t i = 0; i < s->policies.n; i++) {
		const struct policy_stats *p = &s->policies.rows[i];
		char labels[LABELS_MAX];

		snprintf(labels, sizeof(labels), "policy=\"%s\"", p->name);
		print_histogram(s, &p->duration, HISTOGRAM_LIFE, labels);
	}
}

static void
write_rtt(struct scrape *s)
{
	for (size_t i = 0; i < 2 * s->policies.n; i++) {
		const struct policy_stats *p = &s->policies.rows[i / 2];
		char labels[LABELS_MAX];

		snprintf(labels, sizeof(labels), "policy=\"%s\",leg=\"%s\"",
		    p->name, leg_words[i % 2]);
		print_histogram(s, i % 2 ? &p->server_rtt : &p->client_rtt,
		    HISTOGRAM_TIME, labels);
	}
}

/* --- of the live flows, as the sampler saw them last --- */

static void
print_live_leg(struct scrape *s, const char *policy, const char *word,
    const struct sample_leg *leg)
{
	for (int i = 0; i < SAMPLE_ALGORITHMS; i++)
		if (leg->algorithms[i].legs)
			print(s,
			    "%s{policy=\"%s\",leg=\"%s\",congestion=\"%s\"}"
			    " %" PRIu32 "\n",
			    s->name, policy, word, leg->algorithms[i].name,
			    leg->algorithms[i].legs);
}

static void
write_legs(struct scrape *s)
{
	for (size_t i = 0; i < 2 * s->sample->n_policies; i++) {
		const struct sample_policy *p = &s->sample->policies[i / 2];

		print_live_leg(s, p->name, leg_words[i % 2], &p->legs[i % 2]);
	}
}

static void
write_live_rtt(struct scrape *s)
{
	for (size_t i = 0; i < 2 * s->sample->n_policies; i++) {
		const struct sample_policy *p = &s->sample->policies[i / 2];
		const struct sample_leg *leg = &p->legs[i % 2];

		if (leg->measured)
			print(s, "%s{policy=\"%s\",leg=\"%s\"} %.6f\n", s->name,
			    p->name, leg_words[i % 2],
			    (double)leg->rtt_us / leg->measured / 1e6);
	}
}

static void
write_slow(struct scrape *s)
{
	for (size_t i = 0; i < 2 * s->sample->n_policies; i++) {
		const struct sample_policy *p = &s->sample->policies[i / 2];

		print(s, "%s{policy=\"%s\",leg=\"%s\"} %" PRIu32 "\n", s->name,
		    p->name, leg_words[i % 2], p->legs[i % 2].slow);
	}
}

/* clang-format off */
static const struct {
	const char *name, *type, *help;
	write_samples *write;
} rows[] = {
	{ "unatatp_build_info", "gauge",
	  "1, with the version of the program and of libevent.",
	  write_build_info },
	{ "unatatp_start_time_seconds", "gauge",
	  "When the process began, in seconds since 1970.", write_start_time },
	{ "unatatp_config_loaded_timestamp_seconds", "gauge",
	  "When the configuration in force was read.", write_loaded },
	{ "unatatp_workers", "gauge",
	  "Threads that carry flows.", write_workers },
	{ "unatatp_draining", "gauge",
	  "1 while the process only waits for its last flows.",
	  write_draining },
	{ "unatatp_flows_opened_total", "counter",
	  "Flows that began.", write_opened },
	{ "unatatp_flows_active", "gauge",
	  "Flows that live.", write_active },
	{ "unatatp_flows_ended_total", "counter",
	  "Flows that ended, by the reason why.", write_ended },
	{ "unatatp_bytes_total", "counter",
	  "Bytes delivered, up to the server or down to the client.",
	  write_bytes },
	{ "unatatp_segments_total", "counter",
	  "Segments with data sent on a leg, those sent again included.",
	  write_segments },
	{ "unatatp_retransmits_total", "counter",
	  "Segments sent again on a leg.", write_retransmits },
	{ "unatatp_connect_seconds", "histogram",
	  "From a client's connection to the server's answer.",
	  write_connect },
	{ "unatatp_rtt_seconds", "histogram",
	  "Round-trip time of a leg when its flow ended.", write_rtt },
	{ "unatatp_flow_duration_seconds", "histogram",
	  "How long flows lived.", write_duration },
	{ "unatatp_policy_congestion_refused_total", "counter",
	  "Congestion control algorithms that the kernel refused, by policy.",
	  write_policy_refused },
	{ "unatatp_legs", "gauge",
	  "Live legs by the congestion control that the kernel runs on them.",
	  write_legs },
	{ "unatatp_live_rtt_seconds", "gauge",
	  "Mean round-trip time of the live legs that carry bytes.",
	  write_live_rtt },
	{ "unatatp_slow_legs", "gauge",
	  "Live legs whose path or peer is slower than what is to be sent.",
	  write_slow },
	{ "unatatp_congestion_refused_total", "counter",
	  "Congestion control algorithms that the kernel refused.",
	  write_congestion_refused },
	{ "unatatp_options_refused_total", "counter",
	  "Socket options that the kernel refused.", write_options_refused },
	{ "unatatp_accept_pauses_total", "counter",
	  "Times that accepting paused for want of descriptors or memory.",
	  write_accept_pauses },
	{ "unatatp_reloads_total", "counter",
	  "Reloads of the configuration, by result.", write_reloads },
	{ "unatatp_open_fds", "gauge",
	  "Descriptors that the process has open.", write_open_fds },
	{ "unatatp_max_fds", "gauge",
	  "Descriptors that it may have open.", write_max_fds },
	{ "unatatp_loop_lag_seconds", "gauge",
	  "The longest that a worker let a message wait when last looked at.",
	  write_loop_lag },
};
/* clang-format on */

int
metrics_write(const struct daemon *d, struct evbuffer *out)
{
	struct scrape s = { .d = d, .out = out };
	int64_t age_ms;

	s.err = policies_collect(&s.policies, d);
	if (s.err)
		return s.err;
	s.sample = sampler_last(d->sampler, &age_ms);
	signals_sum_stats(d, &s.stats);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		s.name = rows[i].name;
		print(&s, "# HELP %s %s\n# TYPE %s %s\n", s.name, rows[i].help,
		    s.name, rows[i].type);
		rows[i].write(&s);
	}
	policies_clear(&s.policies);
	return s.err;
}
