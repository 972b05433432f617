/*
 * Bulk flows, as fast as they go, up or down. What the client wrote or
 * read is what counts; the buffers of the way are small beside it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "loadgen.h"

struct bulk {
	int fd;
	size_t greeted; /* bytes of the header that were sent */
	uint64_t moved, before;
};

static void
greet(struct bulk *b, const struct options *opt)
{
	struct loadgen_header h = {
		.magic = LOADGEN_MAGIC,
		.up = opt->lane_up ? LOADGEN_FOREVER : sizeof(h),
		.down = opt->lane_up ? 0 : LOADGEN_FOREVER,
	};
	ssize_t n = send(b->fd, (char *)&h + b->greeted, sizeof(h) - b->greeted,
	    MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		die("a bulk flow did not open");
	if (n > 0)
		b->greeted += (size_t)n;
}

static void
pump(struct bulk *b, const struct options *opt)
{
	int64_t n = opt->lane_up ? net_send(b->fd, LOADGEN_FOREVER)
				 : net_discard(b->fd, LOADGEN_FOREVER);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("a bulk flow broke after %llu bytes",
		    (unsigned long long)b->moved);
	if (n > 0)
		b->moved += (uint64_t)n;
}

static void
on_bulk(int epoll, struct bulk *b, const struct options *opt)
{
	struct epoll_event ev = { .data.ptr = b };

	if (b->greeted == sizeof(struct loadgen_header)) {
		pump(b, opt);
		return;
	}
	greet(b, opt);
	if (b->greeted < sizeof(struct loadgen_header))
		return;
	ev.events = opt->lane_up ? EPOLLOUT : EPOLLIN;
	epoll_ctl(epoll, EPOLL_CTL_MOD, b->fd, &ev);
}

static void
report(const struct bulk *b, const struct options *opt, const struct window *w)
{
	double seconds = (double)(w->closes - w->opens) / 1e9;
	uint64_t sum = 0, least = UINT64_MAX, most = 0, total = 0;

	for (unsigned i = 0; i < opt->flows; i++) {
		uint64_t moved = b[i].moved - b[i].before;

		sum += moved;
		total += b[i].moved;
		least = moved < least ? moved : least;
		most = moved > most ? moved : most;
	}
	printf("{\"seconds\": %.6f, \"bytes\": %llu, \"total_bytes\": %llu, "
	       "\"gbit_s\": %.3f, \"least_gbit_s\": %.3f, "
	       "\"most_gbit_s\": %.3f}\n",
	    seconds, (unsigned long long)sum, (unsigned long long)total,
	    (double)sum * 8 / 1e9 / seconds, (double)least * 8 / 1e9 / seconds,
	    (double)most * 8 / 1e9 / seconds);
}

int
mode_bulk(const struct options *opt)
{
	struct epoll_event events[LOADGEN_EVENTS];
	struct bulk *bulks = calloc(opt->flows, sizeof(*bulks));
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct window w;
	enum window_state state;

	if (!bulks)
		die("calloc");
	for (unsigned i = 0; i < opt->flows; i++) {
		struct epoll_event ev = { EPOLLOUT, { .ptr = &bulks[i] } };

		bulks[i].fd = net_dial(opt, i);
		net_reset_on_close(bulks[i].fd);
		epoll_ctl(epoll, EPOLL_CTL_ADD, bulks[i].fd, &ev);
	}
	window_start(&w, opt);
	while ((state = window_look(&w)) != WINDOW_CLOSED) {
		int n;

		for (unsigned i = 0; state == WINDOW_OPENED && i < opt->flows;
		     i++)
			bulks[i].before = bulks[i].moved;
		n = epoll_wait(
		    epoll, events, LOADGEN_EVENTS, window_wait_ms(&w));
		for (int i = 0; i < n; i++)
			on_bulk(epoll, events[i].data.ptr, opt);
	}
	report(bulks, opt, &w);
	free(bulks);
	return 0;
}
