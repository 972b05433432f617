/*
 * Flows that ask and are answered. Three modes share one engine: `request`
 * fills the path with live flows and keeps a constant number of requests
 * under way, going round all of them; `connect` opens a flow for each
 * request; `hold` asks once on each flow and leaves them idle.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loadgen.h"

#define FILL_AT_ONCE 64
#define FILL_PATIENCE_NS (120ull * 1000000000u)
#define ERRORS_MAX 1000

struct ask {
	int fd;
	bool busy;
	uint64_t up, down; /* still to go, still to come */
	uint64_t began;
};

static struct {
	const struct options *opt;
	int epoll;
	bool each_anew; /* a flow for each request */
	bool filling;
	bool measuring;
	struct ask *asks;
	unsigned opened, idle, ports_used;
	struct ask **queue; /* idle flows, longest idle first */
	unsigned head;
	uint64_t done, total, errors;
	struct samples samples;
} load;

static void ask(struct ask *a);

static void
begin(struct ask *a)
{
	a->busy = true;
	a->up = load.opt->up;
	a->down = load.opt->down;
	a->began = clock_ns();
}

static void
dial(struct ask *a)
{
	struct epoll_event ev = { EPOLLIN | EPOLLOUT | EPOLLET, { .ptr = a } };

	begin(a);
	a->fd = net_dial(load.opt, load.ports_used++);
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, a->fd, &ev) < 0)
		die("epoll_ctl");
}

static void
fail(struct ask *a, const char *what)
{
	load.errors++;
	if (!load.each_anew || load.errors > ERRORS_MAX)
		die("%s after %llu requests, %u flows open", what,
		    (unsigned long long)load.total, load.opened);
	close(a->fd);
	dial(a);
}

static void
enqueue(struct ask *a)
{
	load.queue[(load.head + load.idle++) % load.opt->flows] = a;
}

static struct ask *
dequeue(void)
{
	struct ask *a = load.queue[load.head];

	load.head = (load.head + 1) % load.opt->flows;
	load.idle--;
	return a;
}

/* A whole answer has come: what this flow, or the next one, does now. */
static void
on_answer(struct ask *a)
{
	a->busy = false;
	load.total++;
	if (load.measuring) {
		load.done++;
		samples_add(&load.samples, clock_ns() - a->began);
	}
	if (load.each_anew) {
		close(a->fd);
		dial(a);
		return;
	}
	enqueue(a);
	if (!load.filling) {
		a = dequeue();
		begin(a);
		ask(a);
	} else if (load.opened < load.opt->flows) {
		dial(&load.asks[load.opened++]);
	}
}

/* Only the first bytes of a request are its header; the rest is filler. */
static void
ask(struct ask *a)
{
	while (a->up) {
		int64_t n = net_send(a->fd, a->up);

		if (n < 0 && errno != EAGAIN)
			fail(a, "send failed");
		if (n < 0)
			return;
		a->up -= (uint64_t)n;
	}
}

/* Returns 1 when the whole answer has come, 0 for later. */
static int
hear(struct ask *a)
{
	while (a->down) {
		int64_t n = net_discard(a->fd, a->down);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			fail(a, n ? "reset" : "an answer was cut short");
			return 0;
		}
		a->down -= (uint64_t)n;
	}
	if (load.each_anew && !load.opt->client_closes) {
		int64_t n = net_discard(a->fd, 1);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n) {
			fail(a, "no clean end");
			return 0;
		}
	}
	return 1;
}

static void
drive(struct ask *a)
{
	if (!a->busy)
		return;
	/* What comes after the request is out raises an edge of its own. */
	if (a->up)
		ask(a);
	else if (hear(a))
		on_answer(a);
}

static void
turn(int wait_ms)
{
	struct epoll_event events[LOADGEN_EVENTS];
	int n = epoll_wait(load.epoll, events, LOADGEN_EVENTS, wait_ms);

	for (int i = 0; i < n; i++)
		drive(events[i].data.ptr);
}

static void
prepare(const struct options *opt, bool each_anew)
{
	load.opt = opt;
	load.each_anew = each_anew;
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.asks = calloc(opt->flows, sizeof(*load.asks));
	load.queue = calloc(opt->flows, sizeof(*load.queue));
	if (!load.asks || !load.queue)
		die("calloc");
	if (opt->up < sizeof(struct loadgen_header))
		die("--up holds at least the header");
	*net_header() = (struct loadgen_header){
		.magic = LOADGEN_MAGIC,
		.flags = each_anew && !opt->client_closes ? LOADGEN_CLOSE : 0,
		.up = opt->up,
		.down = opt->down,
	};
}

/* Opens every flow and has it answered once. */
static void
fill(void)
{
	uint64_t until = clock_ns() + FILL_PATIENCE_NS;

	load.filling = true;
	while (load.opened < load.opt->flows && load.opened < FILL_AT_ONCE)
		dial(&load.asks[load.opened++]);
	while (load.idle < load.opt->flows) {
		if (clock_ns() > until)
			die("only %u of %u flows were answered", load.idle,
			    load.opt->flows);
		turn(1000);
	}
	load.filling = false;
}

static void
measure(void)
{
	struct window w;
	enum window_state state;
	double seconds;

	window_start(&w, load.opt);
	while ((state = window_look(&w)) != WINDOW_CLOSED) {
		load.measuring = state != WINDOW_BEFORE;
		turn(window_wait_ms(&w));
	}
	seconds = (double)(w.closes - w.opens) / 1e9;
	samples_sort(&load.samples);
	printf("{\"seconds\": %.6f, \"requests\": %llu, "
	       "\"total_requests\": %llu, \"errors\": %llu, \"rate\": %.1f, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
	    seconds, (unsigned long long)load.done,
	    (unsigned long long)load.total, (unsigned long long)load.errors,
	    (double)load.done / seconds,
	    samples_quantile_us(&load.samples, 0.5),
	    samples_quantile_us(&load.samples, 0.99),
	    samples_quantile_us(&load.samples, 1));
}

int
mode_request(const struct options *opt)
{
	prepare(opt, false);
	fill();
	for (unsigned i = 0; i < opt->active && load.idle; i++) {
		struct ask *a = dequeue();

		begin(a);
		ask(a);
	}
	measure();
	return 0;
}

int
mode_connect(const struct options *opt)
{
	prepare(opt, true);
	for (unsigned i = 0; i < opt->flows; i++)
		dial(&load.asks[i]);
	measure();
	return 0;
}

int
mode_hold(const struct options *opt)
{
	char c;

	prepare(opt, false);
	fill();
	puts("held");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (unsigned i = 0; i < opt->flows; i++) {
		/* A flow that ended meanwhile has been cut by the path. */
		if (net_discard(load.asks[i].fd, 1) >= 0 || errno != EAGAIN)
			load.errors++;
	}
	printf("{\"total_requests\": %llu, \"lost\": %llu}\n",
	    (unsigned long long)load.total, (unsigned long long)load.errors);
	return 0;
}
