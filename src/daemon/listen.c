#include "daemon/listen.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privs.h"
#include "base/sock.h"
#include "flow/listener.h"

static bool
has(const struct conf *conf, const struct addr *a)
{
	for (size_t i = 0; conf && i < conf->n_listens; i++)
		if (addr_equal(&conf->listens[i], a))
			return true;
	return false;
}

static void
log_refusal(const struct addr *a, int err)
{
	char text[ADDR_TEXT_MAX];
	const char *mend = "";

	if (err == -EPERM && privs_given_up(PRIVS_CAP(CAP_NET_ADMIN)))
		mend = " (TPROXY takes CAP_NET_ADMIN, which was given up at "
		       "the start because nothing else took it: restart "
		       "unatatp)";
	else if (err == -EPERM)
		mend = " (TPROXY needs CAP_NET_ADMIN: run as root, "
		       "or let systemd pass the socket)";
	else if (err == -EACCES)
		mend = " (ports below 1024 need root, at start only)";
	else if (err == -EADDRINUSE)
		mend = " (another process has the port: ss -ltnp)";
	else if (err == -EADDRNOTAVAIL)
		mend = " (this machine does not have that address)";
	log_error("cannot listen on %s: %s%s", addr_format(a, text),
	    strerror(-err), mend);
}

/* The built-in configuration takes what there is: no IPv6 is no fault. */
static bool
skippable(const struct conf *conf, int err)
{
	return conf->builtin && (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL);
}

/* An address to open, and how to. */
struct task {
	const struct addr *addr;
	const struct inherit *passed;
	struct sock_options options; /* what accepted sockets inherit */
	size_t rows;		     /* sockets a worker */
	size_t n_workers;
};

/*
 * Each passed socket gets a worker and each worker a socket: the kernel
 * spreads SYNs over all sockets of an address (ReusePort=yes), accepted or
 * not.
 */
static size_t
count_rows(const struct task *t)
{
	size_t n = inherit_count(t->passed, t->addr);

	return n > t->n_workers ? (n + t->n_workers - 1) / t->n_workers : 1;
}

static int
copy_passed(const struct task *t, size_t index)
{
	size_t n = inherit_count(t->passed, t->addr);
	int fd = inherit_copy(t->passed, t->addr, index % n), err;

	if (fd < 0)
		return fd;
	err = sock_prepare(fd, t->addr->sa.sa_family, &t->options);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* One address for every worker; the caller closes what a failure left. */
static int
open_addr(struct listen_plan *plan, const struct task *t, size_t slots)
{
	bool passed = inherit_count(t->passed, t->addr) > 0;
	int err = passed ? 0 : sock_probe(t->addr);

	for (size_t i = 0; !err && i < t->rows * t->n_workers; i++) {
		size_t worker = i % t->n_workers, row = i / t->n_workers;
		int fd = passed ? copy_passed(t, i)
				: sock_listen(t->addr, &t->options);

		if (fd < 0)
			err = fd;
		else
			plan->fds[worker * slots + plan->n + row] =
			    (struct worker_listener){ *t->addr, fd };
	}
	return err;
}

/* Moves the workers' rows together when fewer addresses were opened. */
static void
pack(struct listen_plan *plan, size_t slots, size_t n_workers)
{
	for (size_t i = 1; i < n_workers; i++)
		memmove(&plan->fds[i * plan->n], &plan->fds[i * slots],
		    plan->n * sizeof(*plan->fds));
}

/* Room for what CONF asks for, all slots empty. */
static int
make_room(struct listen_plan *plan, const struct conf *conf, struct task *t,
    size_t *slots)
{
	*slots = 0;
	for (size_t i = 0; i < conf->n_listens; i++) {
		t->addr = &conf->listens[i];
		*slots += count_rows(t);
	}
	*plan = (struct listen_plan){
		.fds = malloc(*slots * t->n_workers * sizeof(*plan->fds)),
	};
	if (!plan->fds) {
		log_error("out of memory for the listeners");
		return -ENOMEM;
	}
	for (size_t i = 0; i < *slots * t->n_workers; i++)
		plan->fds[i].fd = -1;
	return 0;
}

static int
open_all(struct listen_plan *plan, const struct conf *conf,
    const struct conf *old, struct task *t, size_t slots)
{
	int err = 0;

	for (size_t i = 0; !err && i < conf->n_listens; i++) {
		t->addr = &conf->listens[i];
		t->rows = count_rows(t);
		if (has(old, t->addr))
			continue;
		err = open_addr(plan, t, slots);
		if (!err)
			plan->n += t->rows;
		else if (skippable(conf, err))
			err = 0;
		else
			log_refusal(t->addr, err);
	}
	if (!err && !plan->n && !old) {
		log_error("nothing to listen on");
		err = -EADDRNOTAVAIL;
	}
	return err;
}

static void
close_all(struct listen_plan *plan, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (plan->fds[i].fd >= 0)
			close(plan->fds[i].fd);
	listen_plan_clear(plan);
}

void
listen_plan_abort(struct listen_plan *plan, size_t n_workers)
{
	close_all(plan, plan->n * n_workers);
}

int
listen_open(struct listen_plan *plan, const struct conf *conf,
    const struct conf *old, const struct inherit *passed, size_t n_workers)
{
	struct task task = { .passed = passed, .n_workers = n_workers };
	size_t slots;
	int err = make_room(plan, conf, &task, &slots);

	if (err)
		return err;
	listener_inherit(conf, &task.options);
	err = open_all(plan, conf, old, &task, slots);
	if (!err) {
		pack(plan, slots, n_workers);
		return 0;
	}
	close_all(plan, slots * n_workers);
	return err;
}

void
listen_plan_clear(struct listen_plan *plan)
{
	free(plan->fds);
	plan->fds = NULL;
}

void
listen_plan_log(const struct listen_plan *plan, size_t n_workers)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < plan->n; i++)
		if (!i ||
		    !addr_equal(&plan->fds[i].addr, &plan->fds[i - 1].addr))
			log_notice("listening on %s, workers=%zu",
			    addr_format(&plan->fds[i].addr, text), n_workers);
}
