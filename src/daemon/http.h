/*
 * http: a web server to read from, on libevent's evhttp: a few pages, on
 * one listening socket. How many clients there are, what they send and how
 * long they stay is bounded: a slow one harms nobody. Whoever opens one
 * closes it; main's loop.
 */
#ifndef UNATATP_DAEMON_HTTP_H
#define UNATATP_DAEMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;
struct event_base;
struct evhttp_request;
struct http;

/*
 * Writes a page into BODY; headers of its own go to REQUEST. 0, or -errno
 * for "500 Internal Server Error".
 */
typedef int http_page_fn(
    void *arg, struct evhttp_request *request, struct evbuffer *body);

struct http_page {
	const char *path, *type; /* "/metrics", "text/plain" */
	http_page_fn *write;
};

/*
 * Serves the N pages, which must outlive it, to whoever connects to FD, a
 * listening socket that stays the caller's. Unless ANY_HOST, a request must
 * be for a loopback address or "localhost". NULL with errno.
 */
struct http *http_open(struct event_base *base, int fd, bool any_host,
    const struct http_page *pages, size_t n, void *arg);

/* Ends every connection. NULL is allowed. */
void http_close(struct http *http);

#endif
