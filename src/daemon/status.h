/*
 * status: the status page and the JSON that it draws, /status.json: the
 * daemon, each policy, the last minutes of both legs, the busiest flows.
 * It shows what the sampler saw last: asking costs no worker anything.
 */
#ifndef UNATATP_DAEMON_STATUS_H
#define UNATATP_DAEMON_STATUS_H

struct daemon;
struct evbuffer;
struct evhttp_request;

/* "?policy=NAME" in REQUEST asks for that policy's minutes. 0 or -errno. */
int status_write(const struct daemon *d, struct evhttp_request *request,
    struct evbuffer *out);

/* The page; REQUEST gets its Content-Security-Policy. 0 or -errno. */
int status_write_page(struct evhttp_request *request, struct evbuffer *out);

#endif
