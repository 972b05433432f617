#include "daemon/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sock.h"

#define FIRST_FD 3 /* sd_listen_fds(3) */

/* How many are passed to this very process; -EINVAL: what a number. */
static long
count_announced(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long n, most = sysconf(_SC_OPEN_MAX) - FIRST_FD;
	char *end;

	if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
		return 0;
	errno = 0;
	n = strtol(fds, &end, 10);
	if (errno || end == fds || *end || n < 0 || n > most) {
		log_error("LISTEN_FDS=%s: not a count of sockets (%ld at "
			  "most, by the limit of descriptors)",
		    fds, most);
		return -EINVAL;
	}
	return n;
}

/* The INDEX-th name of LISTEN_FDNAMES, "a:b:c"; else "unknown". */
static void
copy_name(const char *names, long index, char *name, size_t size)
{
	while (names && index-- > 0) {
		names = strchr(names, ':');
		names = names ? names + 1 : NULL;
	}
	if (names)
		snprintf(name, size, "%.*s", (int)strcspn(names, ":"), names);
	else
		snprintf(name, size, "unknown");
}

static const struct {
	int err;
	const char *text;
} objections[] = {
	{ -EBADF, "not open" },
	{ -ENOTSOCK, "not a socket" },
	{ -EPROTONOSUPPORT, "not TCP (ListenStream=ADDRESS:PORT)" },
	{ -EINVAL, "not listening (Accept=no)" },
	{ -EPERM, "not transparent (Transparent=yes)" },
};

static void
log_objection(int fd, const char *name, int err)
{
	const char *text = strerror(-err);

	for (size_t i = 0; i < sizeof(objections) / sizeof(*objections); i++)
		if (objections[i].err == err)
			text = objections[i].text;
	log_error("cannot use the passed socket %d (%s): %s", fd, name, text);
}

int
inherit_open(struct inherit *in)
{
	const char *names = getenv("LISTEN_FDNAMES");
	long n = count_announced();
	int err = n < 0 ? (int)n : 0;

	*in = (struct inherit){ .sockets = NULL };
	if (n > 0) {
		in->sockets = calloc((size_t)n, sizeof(*in->sockets));
		if (!in->sockets)
			err = -ENOMEM;
	}
	for (long i = 0; in->sockets && i < n; i++) {
		struct inherited *one = &in->sockets[in->n];
		char name[64];
		int bad;

		one->fd = FIRST_FD + (int)i;
		bad = sock_adopt(one->fd, &one->addr);
		in->n += !bad;
		if (bad) {
			copy_name(names, i, name, sizeof(name));
			log_objection(one->fd, name, bad);
			err = bad;
		}
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return err;
}

static bool
is_wanted(const struct conf *conf, const struct addr *a)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		if (addr_equal(&conf->listens[i], a))
			return true;
	return false;
}

void
inherit_keep(struct inherit *in, const struct conf *conf)
{
	char text[ADDR_TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < in->n; i++) {
		struct inherited *one = &in->sockets[i];

		if (is_wanted(conf, &one->addr)) {
			in->sockets[n++] = *one;
			continue;
		}
		log_warning("the passed socket of %s is in no listen entry: "
			    "closed",
		    addr_format(&one->addr, text));
		close(one->fd);
	}
	in->n = n;
}

void
inherit_warn(const struct inherit *in, const struct conf *conf)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < in->n; i++)
		if (!is_wanted(conf, &in->sockets[i].addr))
			log_warning("%s was passed by the service manager, "
				    "which keeps it open: connections to it "
				    "wait there for ever (stop its socket "
				    "unit)",
			    addr_format(&in->sockets[i].addr, text));
}

size_t
inherit_count(const struct inherit *in, const struct addr *a)
{
	size_t count = 0;

	for (size_t i = 0; i < in->n; i++)
		count += addr_equal(&in->sockets[i].addr, a);
	return count;
}

int
inherit_copy(const struct inherit *in, const struct addr *a, size_t index)
{
	int fd;

	for (size_t i = 0; i < in->n; i++) {
		if (!addr_equal(&in->sockets[i].addr, a) || index-- > 0)
			continue;
		fd = fcntl(in->sockets[i].fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	return -ENOENT;
}

void
inherit_close(struct inherit *in)
{
	for (size_t i = 0; i < in->n; i++)
		close(in->sockets[i].fd);
	free(in->sockets);
	*in = (struct inherit){ .sockets = NULL };
}
