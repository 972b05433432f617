#include "gateway/firewall.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/privs.h"
#include "gateway/pending.h"

static const struct state nothing;

/* SAID, which is freed, or else what ERR means. */
static int
complain(int err, char *said)
{
	fprintf(
	    stderr, "unatatp: firewall: %s\n", said ? said : strerror(-err));
	free(said);
	return -1;
}

/*
 * A session that ends, perhaps by what we do, is no reason to stop; nor is
 * a key: a guardian cannot step in while we hold the lock.
 */
static int
begin(struct pending *p)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
		SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU };
	int err = pending_begin(p);

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	if (!err)
		return 0;
	fprintf(stderr, "unatatp: firewall: %s: %s\n", p->path, strerror(-err));
	return -1;
}

static int
end(struct pending *p)
{
	int err = pending_end(p);

	if (!err)
		return 0;
	fprintf(stderr, "unatatp: firewall: cannot write %s: %s\n", p->path,
	    strerror(-err));
	return -1;
}

/* From what is there now to TO. 0, or -errno and *SAID as of plan_run. */
static int
go_to(const struct state *to, char **said)
{
	struct state ours, theirs;
	struct plan plan = { 0 };
	int err = state_read(&ours, &theirs, 0, said);

	if (err)
		return err;
	state_change(&plan, &ours, to, &theirs);
	err = plan_run(&plan, said);
	plan_clear(&plan);
	state_clear(&ours);
	state_clear(&theirs);
	return err;
}

/* For the guardian. */
static int
take_back(void *arg)
{
	char *said;
	int err = go_to(arg, &said);

	free(said);
	return err;
}

/* From NOW to WANT, by PLAN. */
struct task {
	struct state now, want, theirs;
	struct plan plan;
};

static void
task_clear(struct task *t)
{
	state_clear(&t->now);
	state_clear(&t->want);
	state_clear(&t->theirs);
	plan_clear(&t->plan);
}

/* All steps, or none. */
static int
carry_out(struct task *t)
{
	char *said;
	int err = plan_run(&t->plan, &said);

	if (!err)
		return 0;
	complain(err, said);
	err = go_to(&t->now, &said);
	if (err)
		return complain(err, said);
	fprintf(stderr, "unatatp: firewall: all is as it was before\n");
	return -1;
}

/* --- up and show --------------------------------------------------- */

/*
 * The table must be ours alone: others' packets would follow its routes,
 * ours theirs. Theirs may be the very route we want.
 */
static int
check_table(const struct task *t, unsigned table)
{
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		for (size_t i = 0; i < t->theirs.routes[f].n; i++) {
			const char *route = t->theirs.routes[f].at[i];

			if (state_is_wanted(route, &t->want.routes[f]))
				continue;
			fprintf(stderr,
			    "unatatp: firewall: routing table %u is in use by "
			    "others (%s route show table %u: \"%s\"): choose "
			    "another one by firewall.table\n",
			    table, state_families[f].ip, table, route);
			return -1;
		}
	return 0;
}

/*
 * Our `goto' jumps over all that stands before its target: others' rules
 * must not be among ours.
 */
static int
check_places(const struct task *t)
{
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		for (size_t i = 0; i < t->theirs.rules[f].n; i++) {
			const char *rule = t->theirs.rules[f].at[i];

			if (!state_takes_place(rule, &t->want.rules[f]))
				continue;
			fprintf(stderr,
			    "unatatp: firewall: others have a rule in the "
			    "place of one that source = \"client\" needs (%s "
			    "rule show: \"%s\"): give it another number\n",
			    state_families[f].ip, rule);
			return -1;
		}
	return 0;
}

/* What was made could not be read, and so not taken away again. */
static int
check_filter(const struct task *t)
{
	for (size_t f = 0; f < STATE_FAMILIES; f++)
		if (t->theirs.unreadable[f]) {
			fprintf(stderr,
			    "unatatp: firewall: %s: use nft, whose tables "
			    "others have here\n",
			    t->theirs.unreadable[f]);
			return -1;
		}
	return 0;
}

static int
task_make(struct task *t, const struct conf *conf, enum state_backend backend)
{
	unsigned table = (unsigned)conf->firewall.table;
	char *said = NULL;
	int err = 0;

	*t = (struct task){ 0 };
	if (backend == STATE_AUTO)
		backend = state_choose_backend();
	/* Whom the kernel tells nothing may `show', as if nothing were. */
	if (privs_has_net_admin())
		err = state_read(&t->now, &t->theirs, table, &said);
	if (!err)
		err = state_want(&t->want, conf, backend, &t->now);
	if (err == -E2BIG) /* the policy was named */
		return -1;
	if (err)
		return complain(err, said);
	if (check_table(t, table) || check_places(t) ||
	    (backend == STATE_IPTABLES && check_filter(t)))
		return -1;
	state_change(&t->plan, &t->now, &t->want, &t->theirs);
	return 0;
}

int
firewall_show(const struct conf *conf, enum state_backend backend)
{
	struct task t;
	int status = task_make(&t, conf, backend);

	if (!status) {
		struct plan down = { 0 };

		printf("# What \"unatatp firewall up\" does:\n");
		plan_print(&t.plan, "", stdout);
		printf("\n# What \"unatatp firewall down\" does then:\n");
		state_change(&down, &t.want, &nothing, &t.theirs);
		plan_print(&down, "# ", stdout);
		plan_clear(&down);
		if (fflush(stdout)) {
			perror("unatatp: cannot write");
			status = -1;
		}
	}
	task_clear(&t);
	return status;
}

int
firewall_up(
    const struct conf *conf, enum state_backend backend, unsigned confirm)
{
	struct pending p;
	struct task t;
	int verdict = -1, status = begin(&p);

	if (status)
		return status;
	status = task_make(&t, conf, backend);
	/* One who guards already knows what was confirmed last. */
	if (!status && confirm && !p.guardian) {
		verdict = pending_guard(&p, take_back, &t.now);
		if (verdict < 0)
			status = complain(verdict, NULL);
	}
	if (!status)
		status = carry_out(&t);
	if (!status)
		p.deadline = clock_ms() + 1000 * (int64_t)confirm;
	if (status ? verdict >= 0 : !confirm)
		p.guardian = 0;
	/*
	 * Until now the guardian would have stepped in, had we died, and it
	 * will when it does not read in the file how long there is.
	 */
	if (end(&p))
		status = -1;
	else if (verdict >= 0 && write(verdict, "", 1) != 1)
		status = complain(-errno, NULL);
	if (verdict >= 0)
		close(verdict);
	if (!status && confirm)
		printf("In %u s all is taken back, unless \"unatatp firewall "
		       "confirm\" comes.\n",
		    confirm);
	task_clear(&t);
	return status;
}

/* --- the other verbs ----------------------------------------------- */

int
firewall_down(void)
{
	struct pending p;
	struct task t = { 0 };
	char *said = NULL;
	int err, status = begin(&p);

	if (status)
		return status;
	err = state_read(&t.now, &t.theirs, 0, &said);
	if (err) {
		status = complain(err, said);
	} else {
		state_change(&t.plan, &t.now, &nothing, &t.theirs);
		status = carry_out(&t);
	}
	if (!status)
		p.guardian = 0;
	if (end(&p))
		status = -1;
	task_clear(&t);
	return status;
}

int
firewall_confirm(void)
{
	struct pending p;
	int status = begin(&p);

	if (status)
		return status;
	if (!p.guardian) {
		fprintf(stderr,
		    "unatatp: firewall: nothing waits for a confirm (it was "
		    "confirmed, or taken back already)\n");
		status = -1;
	}
	p.guardian = 0;
	return end(&p) ? -1 : status;
}
