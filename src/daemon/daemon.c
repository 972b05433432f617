#include "daemon/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/localaddr.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/privs.h"
#include "daemon/background.h"
#include "daemon/listen.h"
#include "daemon/process.h"
#include "daemon/worker.h"
#include "gateway/recent.h"

enum { ON_HUP, ON_TERM, ON_INT, ON_USR1, SIGNALS };

struct daemon {
	const struct daemon_args *args;
	char *path; /* absolute; NULL: the built-in one */
	struct conf *conf;
	struct event_base *base;
	struct mailbox *mailbox;
	struct event *signals[SIGNALS];
	struct event *reload; /* a burst of HUPs makes it active once */
	struct event *drain_timer;
	struct localaddr_watch *watch;
	struct worker_shared shared;
	struct worker **workers;
	_Atomic int64_t live_total;
	size_t n_adopting; /* workers that have yet to take a conf over */
	size_t n_drained;  /* those without a flow, in the drain */
	bool reloading;	   /* and not all workers have taken it over */
	bool draining;
};

static void
on_finding(void *arg, enum conf_severity severity, const char *line)
{
	(void)arg;
	log_line(severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
	    "%s", line);
}

static struct conf *
read_conf(struct daemon *d)
{
	struct conf_report report = { .emit = on_finding };
	struct conf *conf;

	privs_wake_reader();
	conf = conf_read(d->path, &d->args->over, &report);
	privs_sleep_reader();
	return conf;
}

static void
set_log(const struct conf *conf)
{
	log_set_level((enum log_level)conf->log.level);
	log_set_rate((unsigned)conf->log.max_per_second);
}

/* --- reload -------------------------------------------------------- */

/* What only a restart can change stays as it is. */
static void
warn_fixed(const struct conf *old, const struct conf *new)
{
	if (old->workers != new->workers)
		log_warning("reload: workers changes at the next start");
	if (strcmp(old->user, new->user))
		log_warning("reload: user changes at the next start");
	if (old->log.target != new->log.target)
		log_warning("reload: log.target changes at the next start");
}

static bool
hand_out(struct daemon *d, struct conf *conf, const struct listen_plan *plan)
{
	size_t n = plan->n_addrs;

	for (size_t i = 0; i < d->shared.n_workers; i++, d->n_adopting++)
		if (worker_adopt(d->workers[i], conf, plan->fds + i * n, n)) {
			log_error("out of memory for worker %zu", i);
			return false;
		}
	return true;
}

static void
on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct listen_plan plan;
	struct conf *conf;

	(void)fd;
	(void)what;
	if (d->draining)
		return;
	conf = read_conf(d);
	if (!conf) {
		log_error("reload refused: everything stays as it was");
		return;
	}
	if (listen_open(&plan, conf, d->conf, d->shared.n_workers)) {
		log_error("reload refused: everything stays as it was");
		conf_unref(conf);
		return;
	}
	warn_fixed(d->conf, conf);
	d->reloading = true;
	hand_out(d, conf, &plan);
	listen_plan_clear(&plan);
	set_log(conf);
	conf_unref(d->conf);
	d->conf = conf;
}

/* A new flow meets the new configuration once all have taken it over. */
static void
on_adopted(void *owner, void *arg)
{
	struct daemon *d = owner;

	(void)arg;
	if (--d->n_adopting || !d->reloading)
		return;
	d->reloading = false;
	log_notice(
	    "reloaded %s", d->path ? d->path : "nothing: there is no file");
}

/* --- signals ------------------------------------------------------- */

/* libevent calls once for each signal of a burst; reload once for all. */
static void
on_hup(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	event_active(d->reload, EV_TIMEOUT, 0);
}

static void
close_all_flows(struct daemon *d, enum ending ending)
{
	for (size_t i = 0; i < d->shared.n_workers; i++)
		worker_close_flows(d->workers[i], ending);
}

static void
on_drain_over(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	log_notice("drain: time is up, the rest is reset");
	close_all_flows(d, ENDING_DRAIN);
}

static void
on_term(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct timeval tv = clock_timeval(d->conf->timeouts.drain);

	(void)fd;
	(void)what;
	if (d->draining) {
		log_notice("told twice to end: every flow is reset");
		close_all_flows(d, ENDING_SHUTDOWN);
		return;
	}
	d->draining = true;
	log_notice("draining: no new flows, %lld live, %lld ms at most",
	    (long long)d->live_total, (long long)d->conf->timeouts.drain);
	for (size_t i = 0; i < d->shared.n_workers; i++)
		worker_drain(d->workers[i]);
	event_add(d->drain_timer, &tv);
}

static void
log_stats(struct daemon *d)
{
	struct stats sum = { 0 };

	for (size_t i = 0; i < d->shared.n_workers; i++)
		stats_sum(&sum, worker_stats(d->workers[i]));
	stats_log(&sum);
}

static void
on_usr1(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_stats(arg);
}

static void
on_drained(void *owner, void *arg)
{
	struct daemon *d = owner;

	(void)arg;
	if (++d->n_drained == d->shared.n_workers)
		event_base_loopbreak(d->base);
}

/* Tells the workers which addresses are the gateway's own. */
static bool
publish_addresses(struct daemon *d)
{
	struct localaddr_set *set = localaddr_read();

	if (!set) {
		log_error(
		    "cannot read the gateway's addresses: %s", strerror(errno));
		return false;
	}
	for (size_t i = 0; i < d->shared.n_workers; i++)
		worker_set_local(d->workers[i], set);
	localaddr_unref(set);
	return true;
}

static void
on_addresses(void *arg)
{
	publish_addresses(arg);
}

/* --- start and end ------------------------------------------------- */

static bool
make_events(struct daemon *d)
{
	static const struct {
		int number;
		event_callback_fn fn;
	} rows[SIGNALS] = {
		[ON_HUP] = { SIGHUP, on_hup },
		[ON_TERM] = { SIGTERM, on_term },
		[ON_INT] = { SIGINT, on_term },
		[ON_USR1] = { SIGUSR1, on_usr1 },
	};

	d->base = event_base_new();
	if (!d->base)
		return false;
	d->mailbox = mailbox_new(d->base, d);
	d->reload = event_new(d->base, -1, 0, on_reload, d);
	d->drain_timer = evtimer_new(d->base, on_drain_over, d);
	d->watch = localaddr_watch_new(d->base, on_addresses, d);
	for (int i = 0; i < SIGNALS; i++) {
		d->signals[i] =
		    evsignal_new(d->base, rows[i].number, rows[i].fn, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL))
			return false;
	}
	return d->mailbox && d->reload && d->drain_timer && d->watch;
}

static size_t
count_workers(const struct conf *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->workers)
		return (size_t)conf->workers;
	return cpus > 0 ? (size_t)cpus : 1;
}

static enum daemon_result
start_workers(struct daemon *d, const struct listen_plan *plan)
{
	size_t n = d->shared.n_workers;

	d->workers = calloc(n, sizeof(*d->workers));
	for (size_t i = 0; d->workers && i < n; i++) {
		d->workers[i] = worker_new(&d->shared, i);
		if (!d->workers[i])
			break;
	}
	if (!d->workers || !d->workers[n - 1]) {
		log_error("cannot make %zu workers: %s", n, strerror(errno));
		return DAEMON_FAILED;
	}
	/* Conf and addresses are in the mailbox before any flow is. */
	if (!publish_addresses(d) || !hand_out(d, d->conf, plan))
		return DAEMON_FAILED;
	for (size_t i = 0; i < n; i++) {
		int err = worker_start(d->workers[i]);

		if (err) {
			log_error("cannot start a thread: %s", strerror(-err));
			return DAEMON_FAILED;
		}
	}
	return DAEMON_GOOD;
}

/* Workers block every signal, so that main alone gets them. */
static enum daemon_result
start_workers_quiet(struct daemon *d, const struct listen_plan *plan)
{
	sigset_t all, old;
	enum daemon_result result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	result = start_workers(d, plan);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return result;
}

static enum daemon_result
start(struct daemon *d)
{
	struct listen_plan plan;
	enum daemon_result result;
	int err;

	d->shared = (struct worker_shared){
		.on_adopted = on_adopted,
		.on_drained = on_drained,
		.live_total = &d->live_total,
		.n_workers = count_workers(d->conf),
	};
	process_raise_limits(d->conf);
	if (!make_events(d)) {
		log_error("cannot make the event loop: %s", strerror(errno));
		return DAEMON_FAILED;
	}
	d->shared.main = d->mailbox;
	err = listen_open(&plan, d->conf, NULL, d->shared.n_workers);
	if (err)
		return err == -EPERM ? DAEMON_NO_PRIVILEGE
				     : DAEMON_CANNOT_LISTEN;
	recent_forget();
	result = process_drop_privileges(d->conf);
	/* From here on a daemon's faults belong into syslog. */
	log_set((enum log_target)d->conf->log.target, d->args->background);
	if (result == DAEMON_GOOD)
		result = start_workers_quiet(d, &plan);
	if (result == DAEMON_GOOD)
		listen_plan_log(&plan, d->shared.n_workers);
	listen_plan_clear(&plan);
	return result;
}

static void
finish(struct daemon *d)
{
	for (size_t i = 0; d->workers && i < d->shared.n_workers; i++)
		worker_free(d->workers[i]);
	free(d->workers);
	for (int i = 0; i < SIGNALS; i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->reload)
		event_free(d->reload);
	if (d->drain_timer)
		event_free(d->drain_timer);
	localaddr_watch_free(d->watch);
	mailbox_free(d->mailbox);
	if (d->base)
		event_base_free(d->base);
	conf_unref(d->conf);
	free(d->path);
	libevent_global_shutdown();
}

/* The child's life, or all there is in the foreground. */
static enum daemon_result
run(struct daemon *d, struct background *background)
{
	enum daemon_result result = start(d);

	if (background)
		background_ready(background, (int)result);
	if (result != DAEMON_GOOD)
		return result;
	event_base_dispatch(d->base);
	log_stats(d);
	return DAEMON_GOOD;
}

static enum daemon_result
run_background(struct daemon *d)
{
	struct background background;
	int err = background_begin(&background);

	if (err) {
		log_error("cannot go to the background: %s", strerror(-err));
		return DAEMON_FAILED;
	}
	if (!background.parent)
		return run(d, &background);
	if (background.result == BACKGROUND_DIED)
		return DAEMON_FAILED;
	return (enum daemon_result)background.result;
}

enum daemon_result
daemon_run(const struct daemon_args *args)
{
	struct daemon d = { .args = args };
	enum daemon_result result = DAEMON_BAD_CONFIG;

	signal(SIGPIPE, SIG_IGN);
	log_set(LOG_TARGET_STDERR, false);
	/* The working directory may change; a relative path must not. */
	if (args->path && !(d.path = realpath(args->path, NULL)))
		d.path = strdup(args->path);
	d.conf = read_conf(&d);
	if (d.conf) {
		set_log(d.conf);
		result = args->background ? run_background(&d) : run(&d, NULL);
	}
	finish(&d);
	return result;
}
