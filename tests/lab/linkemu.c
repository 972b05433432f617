/*
 * linkemu: a long and lossy link between two network namespaces, for the
 * tests and the bench. One thread waits for packets of two TUN devices and
 * for the moment when the next one is due at the other end.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control.h"

#define BATCH 64 /* packets read in a row from one end */

static const char usage[] =
    "usage: linkemu NETNS DEVICE NETNS DEVICE [up|down|both] KEY=VALUE...\n"
    "  rate=50M       bits a second; IP headers count\n"
    "  delay=75ms     one way; jitter=5ms: up to this more, in order\n"
    "  queue=940K     bytes that may wait; what comes then is dropped\n"
    "  loss=1%        of packets; seed=7: which ones\n"
    "  loss_bad=50% to_bad=0.1% to_good=10%\n"
    "                 bursts: a bad state, and the chance of going there\n"
    "                 and back with each packet\n"
    "Then, on standard input: set [up|down|both] KEY=VALUE... | reset |\n"
    "stats. Each is answered by a line of JSON. It ends with its input.\n";

/*
 * The endpoints want the same two CPUs: what is due goes first. Without the
 * privilege it runs as others do, and its lateness tells.
 */
static void
hurry(void)
{
	struct sched_param first = { .sched_priority = 1 };

	prctl(PR_SET_TIMERSLACK, 1);
	(void)sched_setscheduler(0, SCHED_FIFO, &first);
}

/* Reads what has come at an end. Returns whether more may be there. */
static bool
take_in(struct link *l, int way)
{
	for (int i = 0; i < BATCH; i++) {
		struct packet *p = tun_read(&l->ends[way]);

		if (!p)
			return false;
		wire_arrive(&l->wires[way], tally_clock(), p);
	}
	return true;
}

/* Hands over what is due; it comes out at the other end. */
static void
give_out(struct link *l, int way)
{
	struct tun *there = &l->ends[1 - way];
	struct packet *p;
	uint64_t now;

	while ((p = wire_take(&l->wires[way], now = tally_clock()))) {
		tally_late(&l->tally, now - p->due);
		(void)tun_write(there, p); /* the device counts its drops */
		free(p);
	}
}

/* Time until the next packet is due; at most a second. */
static struct timespec
pause_of(const struct link *l, bool more)
{
	uint64_t next = wire_next(&l->wires[LINK_UP]);
	uint64_t down = wire_next(&l->wires[LINK_DOWN]);
	uint64_t now = tally_clock(), left;

	if (down < next)
		next = down;
	left = more || next <= now ? 0 : next - now;
	if (left > 1000000000u)
		left = 1000000000u;
	return (struct timespec){ .tv_sec = (time_t)(left / 1000000000u),
		.tv_nsec = (long)(left % 1000000000u) };
}

/* Reads commands as they come. Returns false at the end of the input. */
static bool
listen_to(struct link *l)
{
	static char text[4096];
	static size_t n;
	ssize_t got = read(STDIN_FILENO, text + n, sizeof(text) - 1 - n);
	char *end;

	if (got <= 0)
		return got < 0 && errno == EINTR;
	n += (size_t)got;
	text[n] = '\0';
	while ((end = strchr(text, '\n'))) {
		size_t line = (size_t)(end - text) + 1;

		*end = '\0';
		control_line(l, text);
		n -= line;
		memmove(text, text + line, n + 1);
	}
	return n < sizeof(text) - 1;
}

static void
run(struct link *l)
{
	struct pollfd fds[] = {
		{ .fd = l->ends[LINK_UP].fd, .events = POLLIN },
		{ .fd = l->ends[LINK_DOWN].fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	bool more = false;

	for (;;) {
		struct timespec pause = pause_of(l, more);
		int n = ppoll(fds, 3, &pause, NULL);

		if (n < 0 && errno != EINTR)
			return;
		more = false;
		for (int way = 0; way < LINK_WAYS; way++) {
			if (n > 0 && fds[way].revents & (POLLERR | POLLHUP))
				return; /* the device is gone */
			if (n > 0 && fds[way].revents)
				more |= take_in(l, way);
			give_out(l, way);
		}
		if (n > 0 && fds[2].revents && !listen_to(l))
			return;
	}
}

static int
open_ends(struct link *l, char *argv[])
{
	for (int i = 0; i < LINK_WAYS; i++) {
		int err = tun_open(&l->ends[i], argv[2 * i], argv[2 * i + 1]);

		if (err) {
			fprintf(stderr,
			    "linkemu: %s in %s: %s (it takes root and "
			    "/dev/net/tun)\n",
			    argv[2 * i + 1], argv[2 * i], strerror(-err));
			return err;
		}
	}
	return 0;
}

int
main(int argc, char *argv[])
{
	struct link l = { .ends = { { .fd = -1 }, { .fd = -1 } } };
	const char *wrong;

	if (argc < 5) {
		fputs(usage, stderr);
		return 64;
	}
	for (int i = 0; i < LINK_WAYS; i++) {
		wire_init(&l.wires[i]);
		l.wires[i].rate = 1e9;
		l.wires[i].limit = 1u << 20;
	}
	wrong = control_apply(&l, argv + 5, (size_t)argc - 5);
	if (wrong) {
		fprintf(stderr, "linkemu: %s\n%s", wrong, usage);
		return 64;
	}
	if (open_ends(&l, argv + 1))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	hurry();
	tally_reset(&l.tally, link_drops(&l));
	puts("ready");
	fflush(stdout);
	run(&l);
	for (int i = 0; i < LINK_WAYS; i++) {
		wire_clear(&l.wires[i]);
		tun_close(&l.ends[i]);
	}
	return 0;
}
