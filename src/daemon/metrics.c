#include "daemon/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/metrics_table.h"
#include "daemon/signals.h"

#define FD_FOLDER "/proc/self/fd"

void
scrape_print(struct scrape *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (evbuffer_add_vprintf(s->out, format, ap) < 0)
		s->err = -ENOMEM;
	va_end(ap);
}

static void
print_value(struct scrape *s, const struct metric *m, uint64_t value)
{
	scrape_print(s, "%s %" PRIu64 "\n", m->name, value);
}

/* --- of the daemon as a whole --------------------------------------- */

static void
write_build_info(struct scrape *s, const struct metric *m)
{
	scrape_print(s, "%s{version=\"%s\",libevent=\"%s\"} 1\n", m->name,
	    PACKAGE_VERSION, event_get_version());
}

static void
write_start_time(struct scrape *s, const struct metric *m)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	scrape_print(s, "%s %.3f\n", m->name,
	    (double)now.tv_sec + (double)now.tv_usec / 1e6 -
		(double)(clock_ms() - s->d->started_ms) / 1e3);
}

static void
write_loaded(struct scrape *s, const struct metric *m)
{
	print_value(s, m, (uint64_t)s->d->loaded_at);
}

static void
write_workers(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->d->shared.n_workers);
}

static void
write_draining(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->d->draining);
}

static void
write_congestion_refused(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->stats.congestion_refused);
}

static void
write_options_refused(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->stats.options_refused);
}

static void
write_accept_pauses(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->stats.accept_pauses);
}

static void
write_pipes_refused(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->stats.pipes_refused);
}

static void
write_memory_held(struct scrape *s, const struct metric *m)
{
	print_value(s, m, s->stats.memory_held);
}

static void
write_reloads(struct scrape *s, const struct metric *m)
{
	scrape_print(s, "%s{result=\"good\"} %" PRIu64 "\n", m->name,
	    s->d->reloads_good);
	scrape_print(s, "%s{result=\"refused\"} %" PRIu64 "\n", m->name,
	    s->d->reloads_refused);
}

static void
write_open_fds(struct scrape *s, const struct metric *m)
{
	struct stat st;
	DIR *dir;
	uint64_t n = 0;

	/* Linux 6.2 tells at once; to look at 16,000 takes ten milliseconds. */
	if (!stat(FD_FOLDER, &st) && st.st_size > 0) {
		print_value(s, m, (uint64_t)st.st_size);
		return;
	}
	dir = opendir(FD_FOLDER);
	if (!dir)
		return;
	while (readdir(dir))
		n++;
	closedir(dir);
	/* Without ".", ".." and the folder's own. */
	print_value(s, m, n - 3);
}

static void
write_max_fds(struct scrape *s, const struct metric *m)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit))
		print_value(s, m, limit.rlim_cur);
}

static void
write_loop_lag(struct scrape *s, const struct metric *m)
{
	for (size_t i = 0; i < s->d->shared.n_workers; i++)
		scrape_print(s, "%s{worker=\"%zu\"} %.6f\n", m->name, i,
		    (double)sampler_lag_us(s->d->sampler, i) / 1e6);
}

/* --- of the live flows, as the sampler saw them last ----------------- */

typedef void write_leg(struct scrape *s, const struct metric *m,
    const char *policy, const char *leg, const struct sample_leg *sums);

static void
each_leg(struct scrape *s, const struct metric *m, write_leg *write)
{
	for (size_t i = 0; i < s->sample->n_policies; i++) {
		const struct sample_policy *p = &s->sample->policies[i];

		write(s, m, p->name, "client", &p->legs[RELAY_CLIENT]);
		write(s, m, p->name, "server", &p->legs[RELAY_SERVER]);
	}
}

static void
print_algorithms(struct scrape *s, const struct metric *m, const char *policy,
    const char *leg, const struct sample_leg *sums)
{
	for (int i = 0; i < SAMPLE_ALGORITHMS; i++)
		if (sums->algorithms[i].legs)
			scrape_print(s,
			    "%s{policy=\"%s\",leg=\"%s\",congestion=\"%s\"}"
			    " %" PRIu32 "\n",
			    m->name, policy, leg, sums->algorithms[i].name,
			    sums->algorithms[i].legs);
}

static void
print_rtt(struct scrape *s, const struct metric *m, const char *policy,
    const char *leg, const struct sample_leg *sums)
{
	if (sums->measured)
		scrape_print(s, "%s{policy=\"%s\",leg=\"%s\"} %.6f\n", m->name,
		    policy, leg, (double)sums->rtt_us / sums->measured / 1e6);
}

static void
print_slow(struct scrape *s, const struct metric *m, const char *policy,
    const char *leg, const struct sample_leg *sums)
{
	scrape_print(s, "%s{policy=\"%s\",leg=\"%s\"} %" PRIu32 "\n", m->name,
	    policy, leg, sums->slow);
}

static void
write_legs(struct scrape *s, const struct metric *m)
{
	each_leg(s, m, print_algorithms);
}

static void
write_live_rtt(struct scrape *s, const struct metric *m)
{
	each_leg(s, m, print_rtt);
}

static void
write_slow(struct scrape *s, const struct metric *m)
{
	each_leg(s, m, print_slow);
}

/* --- the table ------------------------------------------------------- */

#define AT(field) offsetof(struct policy_stats, field)
#define ONE(field) .cells = { { NULL, AT(field) } }
#define LANES(one, two) \
	.label = "lane", .cells = { { "up", AT(one) }, { "down", AT(two) } }
#define LEGS(one, two)  \
	.label = "leg", \
	.cells = { { "client", AT(one) }, { "server", AT(two) } }

/* clang-format off */
#define ROW(called, kind, line, writer, ...) \
	{ .name = called, .type = kind, .help = line, .write = writer, \
	  __VA_ARGS__ }

static const struct metric metrics[] = {
ROW("unatatp_build_info", "gauge",
    "1, with the version of the program and of libevent.",
    write_build_info),
ROW("unatatp_start_time_seconds", "gauge",
    "When the process began, in seconds since 1970.", write_start_time),
ROW("unatatp_config_loaded_timestamp_seconds", "gauge",
    "When the configuration in force was read.", write_loaded),
ROW("unatatp_workers", "gauge",
    "Threads that carry flows.", write_workers),
ROW("unatatp_draining", "gauge",
    "1 while the process only waits for its last flows.",
    write_draining),
ROW("unatatp_flows_opened_total", "counter",
    "Flows that began.", metric_counters, ONE(flows_opened)),
ROW("unatatp_flows_active", "gauge",
    "Flows that live.", metric_active),
ROW("unatatp_flows_ended_total", "counter",
    "Flows that ended, by the reason why.", metric_endings),
ROW("unatatp_bytes_total", "counter",
    "Bytes carried, up to the server or down to the client.",
    metric_counters, LANES(bytes_up, bytes_down)),
ROW("unatatp_segments_total", "counter",
    "Segments with data sent on a leg, those sent again included.",
    metric_counters, LEGS(client_segments, server_segments)),
ROW("unatatp_retransmits_total", "counter",
    "Segments sent again on a leg.",
    metric_counters, LEGS(client_retrans, server_retrans)),
ROW("unatatp_connect_seconds", "histogram",
    "From a client's connection to the server's answer.",
    metric_histograms, ONE(connect_ms),
    .unit = 1e-3, .first = 0, .last = 15, .step = 1),
ROW("unatatp_rtt_seconds", "histogram",
    "Round-trip time of a leg when its flow ended.",
    metric_histograms, LEGS(client_rtt_us, server_rtt_us),
    .unit = 1e-6, .first = 7, .last = 24, .step = 1),
ROW("unatatp_flow_duration_seconds", "histogram",
    "How long flows lived that were connected.",
    metric_histograms, ONE(duration_ms),
    .unit = 1e-3, .first = 2, .last = 30, .step = 2),
ROW("unatatp_policy_congestion_refused_total", "counter",
    "Congestion control algorithms that the kernel refused, by policy.",
    metric_counters, ONE(congestion_refused)),
ROW("unatatp_legs", "gauge",
    "Live legs by the congestion control that the kernel runs on them.",
    write_legs),
ROW("unatatp_live_rtt_seconds", "gauge",
    "Mean round-trip time of the live legs that carry bytes.",
    write_live_rtt),
ROW("unatatp_slow_legs", "gauge",
    "Live legs whose path or peer is slower than what is to be sent.",
    write_slow),
ROW("unatatp_congestion_refused_total", "counter",
    "Congestion control algorithms that the kernel refused.",
    write_congestion_refused),
ROW("unatatp_options_refused_total", "counter",
    "Socket options that the kernel refused.", write_options_refused),
ROW("unatatp_accept_pauses_total", "counter",
    "Times that accepting paused for want of descriptors or memory.",
    write_accept_pauses),
ROW("unatatp_pipes_refused_total", "counter",
    "Pipes that the kernel refused, or made smaller than asked.",
    write_pipes_refused),
ROW("unatatp_memory_held_bytes", "gauge",
    "What flows hold of limits.memory.", write_memory_held),
ROW("unatatp_reloads_total", "counter",
    "Reloads of the configuration, by result.", write_reloads),
ROW("unatatp_open_fds", "gauge",
    "Descriptors that the process has open.", write_open_fds),
ROW("unatatp_max_fds", "gauge",
    "Descriptors that it may have open.", write_max_fds),
ROW("unatatp_loop_lag_seconds", "gauge",
    "The longest that a worker let a message wait when last looked at.",
    write_loop_lag),
};
/* clang-format on */

static int
collect_policies(struct scrape *s)
{
	const struct policies *all = s->d->policies;
	size_t n = 0;

	while (policies_name(all, n))
		n++;
	s->policies = calloc(n, sizeof(*s->policies));
	if (!s->policies)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		s->policies[i].name = policies_name(all, i);
		policies_add(all, s->policies[i].name, &s->policies[i].sum);
	}
	s->n_policies = n;
	return 0;
}

int
metrics_write(const struct daemon *d, struct evbuffer *out)
{
	struct scrape s = { .d = d, .out = out };
	int64_t age_ms;

	s.err = collect_policies(&s);
	if (s.err)
		return s.err;
	s.sample = sampler_last(d->sampler, &age_ms);
	signals_sum_stats(d, &s.stats);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics); i++) {
		const struct metric *m = &metrics[i];

		scrape_print(&s, "# HELP %s %s\n# TYPE %s %s\n", m->name,
		    m->help, m->name, m->type);
		m->write(&s, m);
	}
	free(s.policies);
	return s.err;
}
