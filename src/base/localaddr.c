#include "base/localaddr.h"

#include <errno.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sock.h"

struct localaddr_set {
	_Atomic unsigned refs;
	size_t n;
	struct addr addrs[]; /* sorted by compare */
};

struct localaddr_watch {
	struct event *event;
	int fd;
	void (*on_change)(void *arg);
	void *arg;
};

static int
compare(const void *a, const void *b)
{
	size_t na, nb;
	const uint8_t *ba = addr_bytes(a, &na), *bb = addr_bytes(b, &nb);

	if (na != nb)
		return na < nb ? -1 : 1;
	return memcmp(ba, bb, na);
}

static void
add(struct localaddr_set *set, const struct sockaddr *sa)
{
	struct addr *a = &set->addrs[set->n];

	if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return;
	memset(a, 0, sizeof(*a));
	memcpy(
	    a, sa, sa->sa_family == AF_INET ? sizeof(a->in4) : sizeof(a->in6));
	set->n++;
}

struct localaddr_set *
localaddr_read(void)
{
	struct ifaddrs *all, *i;
	struct localaddr_set *set;
	size_t n = 0;

	if (getifaddrs(&all))
		return NULL;
	for (i = all; i; i = i->ifa_next)
		n += 2;
	set = malloc(sizeof(*set) + n * sizeof(set->addrs[0]));
	if (!set)
		goto out;
	set->refs = 1;
	set->n = 0;
	for (i = all; i; i = i->ifa_next) {
		add(set, i->ifa_addr);
		if (i->ifa_flags & IFF_BROADCAST)
			add(set, i->ifa_broadaddr);
	}
	qsort(set->addrs, set->n, sizeof(set->addrs[0]), compare);
out:
	freeifaddrs(all);
	return set;
}

struct localaddr_set *
localaddr_ref(struct localaddr_set *set)
{
	atomic_fetch_add(&set->refs, 1);
	return set;
}

void
localaddr_unref(struct localaddr_set *set)
{
	if (set && atomic_fetch_sub(&set->refs, 1) == 1)
		free(set);
}

bool
localaddr_has(const struct localaddr_set *set, const struct addr *a)
{
	return bsearch(a, set->addrs, set->n, sizeof(set->addrs[0]), compare);
}

/* What the messages say does not matter: the set is read anew. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct localaddr_watch *watch = arg;
	char scratch[8192];
	int budget = 64;

	(void)what;
	/* ENOBUFS: some were lost, which is a change as well. */
	while (budget-- > 0 &&
	    (read(fd, scratch, sizeof(scratch)) > 0 || errno == ENOBUFS))
		;
	watch->on_change(watch->arg);
}

struct localaddr_watch *
localaddr_watch_new(
    struct event_base *base, void (*on_change)(void *arg), void *arg)
{
	struct localaddr_watch *watch = calloc(1, sizeof(*watch));
	int fd;

	if (!watch)
		return NULL;
	fd = sock_address_watch();
	if (fd < 0) {
		free(watch);
		errno = -fd;
		return NULL;
	}
	*watch = (struct localaddr_watch){
		.event = event_new(
		    base, fd, EV_READ | EV_PERSIST, on_readable, watch),
		.fd = fd,
		.on_change = on_change,
		.arg = arg,
	};
	if (!watch->event || event_add(watch->event, NULL)) {
		localaddr_watch_free(watch);
		errno = ENOMEM;
		return NULL;
	}
	return watch;
}

void
localaddr_watch_free(struct localaddr_watch *watch)
{
	if (!watch)
		return;
	if (watch->event)
		event_free(watch->event);
	close(watch->fd);
	free(watch);
}
