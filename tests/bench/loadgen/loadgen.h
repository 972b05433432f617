/*
 * loadgen: the benchmark's traffic, made as cheaply as it can be: one
 * process, one thread, one epoll. The server answers whatever its clients
 * ask for; every other mode is a client. Bytes are discarded unread
 * (MSG_TRUNC), so that the path between the two is what gets measured.
 */
#ifndef UNATATP_BENCH_LOADGEN_H
#define UNATATP_BENCH_LOADGEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOADGEN_MAGIC 0x756e6174u
#define LOADGEN_FOREVER UINT64_MAX
#define LOADGEN_EVENTS 256
#define LOADGEN_CHUNK (256u << 10) /* a send, from one warm buffer */
#define LOADGEN_GULP (4u << 20)	   /* a discarding receive */

enum loadgen_flag {
	LOADGEN_CLOSE = 1, /* the server closes after its answer */
};

/* What opens each request; `up` counts these bytes as well. */
struct loadgen_header {
	uint32_t magic, flags;
	uint64_t up, down;
};

struct options {
	struct sockaddr_in to;
	unsigned ports; /* this many, from the first one on */
	unsigned flows, active;
	uint64_t up, down;
	unsigned warmup_ms, time_ms;
	bool lane_up;
	bool client_closes;
};

/* The stretch of time that counts; python samples the CPU at its edges. */
struct window {
	uint64_t opens, closes;
	bool open;
};

enum window_state {
	WINDOW_BEFORE,
	WINDOW_OPENED,
	WINDOW_INSIDE,
	WINDOW_CLOSED
};

uint64_t clock_ns(void);
void window_start(struct window *w, const struct options *opt);
/* Prints "start" or "end" when an edge has been passed. */
enum window_state window_look(struct window *w);
int window_wait_ms(const struct window *w);

/* Latencies in nanoseconds, all of them. */
struct samples {
	uint32_t *at;
	size_t n, room;
};

void samples_add(struct samples *s, uint64_t ns);
void samples_sort(struct samples *s);
double samples_quantile_us(const struct samples *s, double q);

int net_listen(const struct sockaddr_in *at);
/* Starts a connection to port number K of those in OPT; returns its fd. */
int net_dial(const struct options *opt, unsigned k);
void net_reset_on_close(int fd);
int64_t net_send(int fd, uint64_t n); /* of the filler; -1: errno */
int64_t net_discard(int fd, uint64_t n);
struct loadgen_header *net_header(void); /* heads the filler */

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);

int mode_server(const struct options *opt);
int mode_bulk(const struct options *opt);
int mode_request(const struct options *opt);
int mode_connect(const struct options *opt);
int mode_hold(const struct options *opt);

#endif
