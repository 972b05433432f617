#include "daemon/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/localaddr.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "base/privs.h"
#include "daemon/background.h"
#include "daemon/confine.h"
#include "daemon/console.h"
#include "daemon/listen.h"
#include "daemon/policies.h"
#include "daemon/process.h"
#include "daemon/reload.h"
#include "daemon/sampler.h"
#include "daemon/signals.h"
#include "daemon/state.h"
#include "daemon/web.h"
#include "flow/choosers.h"
#include "flow/sources.h"
#include "gateway/recent.h"

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

static bool
make_events(struct daemon *d)
{
	d->base = event_base_new();
	/* The second is the usual one; the first is http.c's. */
	if (!d->base || event_base_priority_init(d->base, 2))
		return false;
	d->mailbox = mailbox_new(d->base, d);
	d->watch = localaddr_watch_new(d->base, on_addresses, d);
	return d->mailbox && d->watch && reload_prepare(d) &&
	    signals_prepare(d);
}

static enum daemon_result
start_workers(struct daemon *d, const struct listen_plan *plan)
{
	size_t n = d->shared.n_workers;

	d->shared.choosers = choosers_new();
	if (!d->shared.choosers) {
		log_error("out of memory for choices of congestion control");
		return DAEMON_FAILED;
	}
	d->policies = policies_new(n, d->base);
	if (!d->policies || policies_learn(d->policies, d->conf)) {
		log_error("out of memory for the counters of policies");
		return DAEMON_FAILED;
	}
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
	if (!publish_addresses(d) || !reload_hand_out(d, d->conf, plan))
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
start_console(struct daemon *d)
{
	privs_give_way(); /* the workers are there: it is main's alone */
	d->started_ms = clock_ms();
	d->loaded_at = clock_wall_s();
	if (d->socket.fd < 0)
		return DAEMON_GOOD;
	d->console = console_new(d, d->socket.fd);
	if (d->console)
		return DAEMON_GOOD;
	log_error("cannot serve the control socket: %s", strerror(errno));
	return DAEMON_FAILED;
}

static void
on_answer(void *owner, void *arg)
{
	struct daemon *d = owner;

	(void)arg;
	supervise_on_answer(&d->supervise);
}

/* Everything that is there for whoever looks at the daemon. */
static enum daemon_result
open_windows(struct daemon *d)
{
	d->sampler = sampler_new(d);
	d->web = d->sampler ? web_new(d) : NULL;
	if (!d->web) {
		log_error("cannot prepare the metrics: %s", strerror(errno));
		return DAEMON_FAILED;
	}
	if (!web_prepare(d->web, d->conf))
		return DAEMON_CANNOT_LISTEN;
	web_commit(d->web);
	return control_socket_open(&d->socket, d->conf);
}

static enum daemon_result
start(struct daemon *d)
{
	struct listen_plan plan;
	enum daemon_result result;
	int err;

	d->shared = (struct worker_shared){
		.on_adopted = reload_on_adopted,
		.on_drained = signals_on_drained,
		.on_answer = on_answer,
		.live_total = &d->live_total,
		.sources = sources_new(),
		.n_workers = conf_workers(d->conf),
	};
	if (process_raise_limits(d->conf))
		return DAEMON_BAD_CONFIG;
	if (!d->shared.sources || !make_events(d)) {
		log_error("cannot make the event loop: %s", strerror(errno));
		return DAEMON_FAILED;
	}
	d->shared.main = d->mailbox;
	inherit_keep(&d->passed, d->conf);
	err =
	    listen_open(&plan, d->conf, NULL, &d->passed, d->shared.n_workers);
	if (err)
		return err == -EPERM ? DAEMON_NO_PRIVILEGE
				     : DAEMON_CANNOT_LISTEN;
	process_allow_windows(d->conf, &plan);
	recent_forget();
	result = open_windows(d);
	if (result == DAEMON_GOOD)
		result = confine_privileges(d->conf);
	/* From here on a daemon's faults belong into syslog. */
	log_set((enum log_target)d->conf->log.target, d->args->background);
	d->shared.sandbox = confine_wanted(d->conf);
	if (result == DAEMON_GOOD)
		result = start_workers_quiet(d, &plan);
	if (result == DAEMON_GOOD)
		result = start_console(d);
	if (result == DAEMON_GOOD &&
	    supervise_start(
		&d->supervise, d->base, d->workers, d->shared.n_workers))
		result = DAEMON_FAILED;
	if (result == DAEMON_GOOD)
		listen_plan_log(&plan, d->shared.n_workers);
	listen_plan_clear(&plan);
	return result;
}

static void
finish(struct daemon *d)
{
	supervise_close(&d->supervise);
	console_free(d->console);
	d->console = NULL;
	control_socket_close(&d->socket);
	web_free(d->web);
	sampler_stop(d->sampler);
	for (size_t i = 0; d->workers && i < d->shared.n_workers; i++)
		worker_free(d->workers[i]);
	free(d->workers);
	sources_free(d->shared.sources);
	policies_free(d->policies);
	choosers_free(d->shared.choosers);
	signals_clear(d);
	if (d->reload)
		event_free(d->reload);
	localaddr_watch_free(d->watch);
	mailbox_free(d->mailbox);
	inherit_close(&d->passed);
	sampler_free(d->sampler);
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
	if (d->shared.sandbox)
		confine_main(d->conf);
	event_base_dispatch(d->base);
	signals_log_stats(d);
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
	struct daemon d = { .args = args, .socket.fd = -1 };
	enum daemon_result result = DAEMON_BAD_CONFIG;

	signal(SIGPIPE, SIG_IGN);
	log_set(LOG_TARGET_STDERR, false);
	/* The working directory may change; a relative path must not. */
	if (args->path && !(d.path = realpath(args->path, NULL)))
		d.path = strdup(args->path);
	supervise_open(&d.supervise);
	if (inherit_open(&d.passed))
		result = DAEMON_CANNOT_LISTEN;
	else if ((d.conf = reload_read(&d))) {
		reload_set_log(d.conf);
		result = args->background ? run_background(&d) : run(&d, NULL);
	}
	finish(&d);
	return result;
}
