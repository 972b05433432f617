#include "daemon/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/sampler.h"
#include "daemon/signals.h"
#include "daemon/state.h"

/* One answer to Prometheus while it is written. */
struct scrape {
	const struct daemon *d;
	const struct sample *sample;
	struct stats stats; /* the sum of all workers */
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

static const char *const leg_words[] = { "client", "server" };

static void
write_legs(struct scrape *s)
{
	for (size_t i = 0; i < 2 * s->sample->n_policies; i++) {
		const struct sample_policy *p = &s->sample->policies[i / 2];
		const struct sample_leg *leg = &p->legs[i % 2];

		for (int a = 0; a < SAMPLE_ALGORITHMS; a++)
			if (leg->algorithms[a].legs)
				print(s,
				    "%s{policy=\"%s\",leg=\"%s\","
				    "congestion=\"%s\"} %" PRIu32 "\n",
				    s->name, p->name, leg_words[i % 2],
				    leg->algorithms[a].name,
				    leg->algorithms[a].legs);
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
	{ "unatatp_live_rtt_seconds", "gauge",
	  "Mean round-trip time of the legs that carried bytes when last "
	  "looked at.", write_live_rtt },
	{ "unatatp_legs", "gauge",
	  "Live legs by the congestion control that the kernel runs on them.",
	  write_legs },
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

	s.sample = sampler_last(d->sampler, &age_ms);
	signals_sum_stats(d, &s.stats);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		s.name = rows[i].name;
		print(&s, "# HELP %s %s\n# TYPE %s %s\n", s.name, rows[i].help,
		    s.name, rows[i].type);
		rows[i].write(&s);
	}
	return s.err;
}
