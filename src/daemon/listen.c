#include "daemon/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
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

	if (err == -EPERM)
		mend = " (TPROXY needs CAP_NET_ADMIN: run as root)";
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

/* One address for every worker; the caller closes what a failure left. */
static int
open_addr(struct listen_plan *plan, const struct addr *a, size_t slots,
    const struct sock_options *inherited, size_t n_workers)
{
	int err = sock_probe(a);

	for (size_t i = 0; !err && i < n_workers; i++) {
		struct worker_listener *l =
		    &plan->fds[i * slots + plan->n_addrs];
		int fd = sock_listen(a, inherited);

		if (fd < 0)
			err = fd;
		else
			*l = (struct worker_listener){ *a, fd };
	}
	return err;
}

/* Moves the workers' rows together when fewer addresses were opened. */
static void
pack(struct listen_plan *plan, size_t slots, size_t n_workers)
{
	for (size_t i = 1; i < n_workers; i++)
		memmove(&plan->fds[i * plan->n_addrs], &plan->fds[i * slots],
		    plan->n_addrs * sizeof(*plan->fds));
}

int
listen_open(struct listen_plan *plan, const struct conf *conf,
    const struct conf *old, size_t n_workers)
{
	size_t slots = conf->n_listens, n = slots * n_workers;
	struct sock_options inherited;
	int err = 0;

	*plan = (struct listen_plan){ .fds = malloc(n * sizeof(*plan->fds)) };
	if (!plan->fds)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		plan->fds[i].fd = -1;
	listener_inherit(conf, &inherited);
	for (size_t i = 0; !err && i < slots; i++) {
		const struct addr *a = &conf->listens[i];

		if (has(old, a))
			continue;
		err = open_addr(plan, a, slots, &inherited, n_workers);
		if (!err)
			plan->n_addrs++;
		else if (skippable(conf, err))
			err = 0;
		else
			log_refusal(a, err);
	}
	if (!err && !plan->n_addrs && !old) {
		log_error("nothing to listen on");
		err = -EADDRNOTAVAIL;
	}
	if (!err) {
		pack(plan, slots, n_workers);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (plan->fds[i].fd >= 0)
			close(plan->fds[i].fd);
	listen_plan_clear(plan);
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

	for (size_t i = 0; i < plan->n_addrs; i++)
		log_notice("listening on %s, workers=%zu",
		    addr_format(&plan->fds[i].addr, text), n_workers);
}
