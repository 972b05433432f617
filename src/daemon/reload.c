#include "daemon/reload.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/privs.h"
#include "daemon/console.h"
#include "daemon/listen.h"
#include "daemon/needs.h"
#include "daemon/policies.h"
#include "daemon/process.h"
#include "daemon/state.h"
#include "daemon/web.h"

static void
on_finding(void *arg, enum conf_severity severity, const char *line)
{
	if (severity == CONF_ERROR)
		supervise_refused(arg, line);
	log_line(severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
	    "%s", line);
}

struct conf *
reload_read(struct daemon *d)
{
	struct conf_report report = {
		.emit = on_finding,
		.arg = &d->supervise,
	};
	struct conf *conf;

	privs_wake_reader();
	privs_use_reserve(true);
	conf = conf_read(d->path, &d->args->over, &report);
	privs_use_reserve(false);
	privs_sleep_reader();
	return conf;
}

void
reload_set_log(const struct conf *conf)
{
	log_set_level((enum log_level)conf->log.level);
	log_set_rate((unsigned)conf->log.max_per_second);
}

/* What only a restart can change stays as it is. */
static void
warn_fixed(const struct conf *old, const struct conf *new)
{
	if (old->workers != new->workers)
		log_warning("reload: workers changes at the next start");
	if (strcmp(old->user, new->user))
		log_warning("reload: user changes at the next start");
	if (old->sandbox != new->sandbox)
		log_warning("reload: sandbox changes at the next start");
	if (old->log.target != new->log.target)
		log_warning("reload: log.target changes at the next start");
	if (strcmp(old->control.path, new->control.path) ||
	    strcmp(old->control.group, new->control.group) ||
	    old->control.mode != new->control.mode)
		log_warning("reload: control changes at the next start");
}

/* One for each worker, or none. */
static bool
make_adoptions(struct worker_adoption **all, struct daemon *d,
    struct conf *conf, const struct listen_plan *plan)
{
	for (size_t i = 0; i < d->shared.n_workers; i++) {
		struct policy_stats **stats =
		    policies_of_worker(d->policies, conf, i);

		if (stats)
			all[i] = worker_adoption_new(
			    conf, stats, plan->fds + i * plan->n, plan->n);
		if (!all[i]) {
			free(stats);
			return false;
		}
	}
	return true;
}

bool
reload_hand_out(
    struct daemon *d, struct conf *conf, const struct listen_plan *plan)
{
	size_t n = d->shared.n_workers;
	struct worker_adoption **all =
	    calloc(n, sizeof(struct worker_adoption *));
	bool good = all && make_adoptions(all, d, conf, plan);

	for (size_t i = 0; all && i < n; i++) {
		if (good)
			worker_adopt(d->workers[i], all[i]);
		else
			worker_adoption_free(all[i]);
	}
	free(all);
	if (good)
		d->n_adopting += n;
	else
		log_error("out of memory for the workers' configuration");
	return good;
}

/* A configuration to go by, with its listeners open; NULL: refused. */
static struct conf *
prepare(struct daemon *d, struct listen_plan *plan)
{
	struct conf *conf = reload_read(d);
	char why[NEEDS_WHY_MAX];
	int err = -ENOMEM;

	if (!conf)
		return NULL;
	if (!needs_met(conf, why)) {
		log_error("%s", why);
		supervise_refused(&d->supervise, why);
		conf_unref(conf);
		return NULL;
	}
	if (process_raise_limits(conf)) {
		err = -EMFILE;
	} else if (policies_learn(d->policies, conf)) {
		log_error("out of memory for the counters of policies");
	} else if (!web_prepare(d->web, conf)) {
		err = -EADDRNOTAVAIL;
	} else {
		err = listen_open(
		    plan, conf, d->conf, &d->passed, d->shared.n_workers);
		if (!err)
			return conf;
		web_abort(d->web);
	}
	supervise_refused(&d->supervise, strerror(-err));
	conf_unref(conf);
	return NULL;
}

/* Puts CONF into force, or leaves everything as it was. */
static bool
apply(struct daemon *d, struct conf *conf, struct listen_plan *plan)
{
	process_allow_windows(conf, plan);
	if (reload_hand_out(d, conf, plan)) {
		listen_plan_clear(plan);
		return true;
	}
	listen_plan_abort(plan, d->shared.n_workers);
	web_abort(d->web);
	supervise_refused(&d->supervise, strerror(ENOMEM));
	conf_unref(conf);
	return false;
}

bool
reload_begin(struct daemon *d)
{
	struct listen_plan plan;
	struct conf *conf;

	supervise_reloading(&d->supervise);
	conf = prepare(d, &plan);
	if (!conf || !apply(d, conf, &plan)) {
		d->reloads_refused++;
		d->last_refused = true;
		log_error("reload refused: everything stays as it was");
		if (!d->n_adopting)
			supervise_ready(&d->supervise);
		return false;
	}
	warn_fixed(d->conf, conf);
	inherit_warn(&d->passed, conf);
	d->reloading = true;
	web_commit(d->web);
	reload_set_log(conf);
	conf_unref(d->conf);
	d->conf = conf;
	d->loaded_at = clock_wall_s();
	d->last_refused = false;
	return true;
}

static void
on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (!d->draining)
		reload_begin(d);
}

/* A new flow meets the new configuration once all have taken it over. */
void
reload_on_adopted(void *owner, void *arg)
{
	struct daemon *d = owner;

	(void)arg;
	if (--d->n_adopting)
		return;
	supervise_ready(&d->supervise);
	if (!d->reloading)
		return;
	d->reloading = false;
	d->reloads_good++;
	log_notice(
	    "reloaded %s", d->path ? d->path : "nothing: there is no file");
	console_on_reloaded(d->console);
}

bool
reload_prepare(struct daemon *d)
{
	d->reload = event_new(d->base, -1, 0, on_reload, d);
	return d->reload;
}
