/*
 * metrics: the daemon's figures in the text format of Prometheus, version
 * 0.0.4. A table has a row for each metric; its writer adds the samples.
 * No label carries an address. Main's thread.
 */
#ifndef UNATATP_DAEMON_METRICS_H
#define UNATATP_DAEMON_METRICS_H

struct daemon;
struct evbuffer;

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Adds all metrics to OUT. 0 or -errno. */
int metrics_write(const struct daemon *d, struct evbuffer *out);

#endif
