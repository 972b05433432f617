#include "daemon/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/clock.h"

#define CLIENTS_MAX 16
#define SILENCE_S 5	    /* for which a client may stand still */
#define LIFE_MS 20000	    /* that it has in all: one request, one answer */
#define SWEEP_MS 50	    /* how soon the end of a client is noticed */
#define HEADERS_MAX 8192    /* bytes of a request */
#define REQUEST_BODY_MAX 64 /* nobody has anything to tell us */

/* A connection; ours is one reference to it, evhttp has the other. */
struct client {
	struct bufferevent *bev; /* NULL: a free place */
	int64_t since_ms;
	bool is_new;
};

struct http {
	struct event_base *base;
	struct evhttp *server;
	struct evconnlistener *listener;
	struct event *sweep, *look;
	const struct http_page *pages;
	size_t n_pages;
	void *arg;
	struct client clients[CLIENTS_MAX];
	size_t n_clients;
	bool any_host;
};

/* evhttp clears the callbacks of a connection that it lets go of. */
static bool
is_over(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
	return !on_event;
}

/*
 * Where epoll does not take a new connection, evhttp (libevent 2.1) closes its
 * descriptor, and we hold what would do so once more: by then it could be
 * another's. So what is over as soon as it has begun has no descriptor.
 */
static void
disown(struct http *http)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &http->clients[i];

		if (c->bev && c->is_new && is_over(c->bev))
			bufferevent_setfd(c->bev, -1);
		c->is_new = false;
	}
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	disown(arg);
}

static void
sweep(struct http *http)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &http->clients[i];

		if (c->bev && is_over(c->bev)) {
			bufferevent_decref(c->bev);
			c->bev = NULL;
			http->n_clients--;
		} else if (c->bev && now - c->since_ms > LIFE_MS) {
			bufferevent_trigger_event(
			    c->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
		}
	}
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = clock_timeval(SWEEP_MS);
	struct http *http = arg;

	(void)fd;
	(void)what;
	sweep(http);
	if (http->n_clients)
		event_add(http->sweep, &tv);
	if (http->n_clients < CLIENTS_MAX)
		evconnlistener_enable(http->listener);
}

/*
 * evhttp asks for a connection's bufferevent and counts nothing. So a
 * reference to each is kept, and when all places are taken the rest waits
 * in the kernel's queue. The last reference closes the descriptor: closed
 * before, it could be another's while libevent still has events for it.
 */
static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	struct timeval tv = clock_timeval(SWEEP_MS);
	struct bufferevent *bev =
	    bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct http *http = arg;
	size_t i = 0;

	disown(http);
	while (http->clients[i].bev)
		i++;
	if (bev) {
		bufferevent_incref(bev);
		http->clients[i] = (struct client){ bev, clock_ms(), true };
		http->n_clients++;
		event_active(http->look, EV_TIMEOUT, 0);
	}
	if (http->n_clients == CLIENTS_MAX)
		evconnlistener_disable(http->listener);
	if (!event_pending(http->sweep, EV_TIMEOUT, NULL))
		event_add(http->sweep, &tv);
	return bev;
}

/* --- requests ------------------------------------------------------ */

static void
answer(struct evhttp_request *request, int status, const char *reason,
    struct evbuffer *body)
{
	static const char *const headers[][2] = {
		{ "Cache-Control", "no-store" },
		{ "Connection", "close" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Content-Type-Options", "nosniff" },
	};
	struct evkeyvalq *out = evhttp_request_get_output_headers(request);

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		evhttp_add_header(out, headers[i][0], headers[i][1]);
	evhttp_send_reply(request, status, reason, body);
}

static void
refuse(struct evhttp_request *request, int status, const char *reason,
    const char *text)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evbuffer_new();

	evhttp_add_header(out, "Content-Type", "text/plain; charset=utf-8");
	if (body)
		evbuffer_add_printf(body, "%s\n", text);
	answer(request, status, reason, body);
	if (body)
		evbuffer_free(body);
}

/*
 * A web site can have its own name point to 127.0.0.1 and let a browser
 * here read what is ours (DNS rebinding); the browser then tells the name.
 */
static bool
is_host_allowed(const struct http *http, const char *host)
{
	size_t len = host ? strlen(host) : 0;
	char text[ADDR_TEXT_MAX];
	struct addr a;

	if (http->any_host || !host || !strcasecmp(host, "localhost"))
		return true;
	if (len >= sizeof(text))
		return false;
	if (*host == '[' && host[len - 1] == ']')
		strcpy(text, host + 1)[len - 2] = '\0';
	else
		strcpy(text, host);
	return !addr_parse(&a, text, 0) && addr_is_loopback(&a);
}

static const struct http_page *
find_page(const struct http *http, const char *path)
{
	for (size_t i = 0; path && i < http->n_pages; i++)
		if (!strcmp(http->pages[i].path, path))
			return &http->pages[i];
	return NULL;
}

static void
send_page(const struct http *http, const struct http_page *page,
    struct evhttp_request *request)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evbuffer_new();

	if (!body || page->write(http->arg, request, body)) {
		refuse(request, HTTP_INTERNAL, "Internal Server Error",
		    "out of memory");
	} else {
		evhttp_add_header(out, "Content-Type", page->type);
		answer(request, HTTP_OK, "OK", body);
	}
	if (body)
		evbuffer_free(body);
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(request);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct http *http = arg;
	const struct http_page *page = find_page(http, path);

	if (!is_host_allowed(http, evhttp_request_get_host(request))) {
		refuse(request, 403, "Forbidden",
		    "ask for localhost, 127.0.0.1 or [::1]: other names may "
		    "be a web site's trick");
	} else if (!page) {
		refuse(request, HTTP_NOTFOUND, "Not Found",
		    "there are /, /status.json and /metrics");
	} else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
		evhttp_add_header(evhttp_request_get_output_headers(request),
		    "Allow", "GET, HEAD");
		refuse(request, HTTP_BADMETHOD, "Method Not Allowed",
		    "this is for reading only");
	} else {
		send_page(http, page, request);
	}
}

/* --- opening and closing ------------------------------------------- */

static bool
prepare(struct http *http, int fd)
{
	http->server = evhttp_new(http->base);
	http->sweep = event_new(http->base, -1, 0, on_sweep, http);
	http->look = event_new(http->base, -1, 0, on_look, http);
	if (!http->server || !http->sweep || !http->look)
		return false;
	event_priority_set(http->look, 0); /* before anybody else's turn */
	evhttp_set_timeout(http->server, SILENCE_S);
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, REQUEST_BODY_MAX);
	evhttp_set_bevcb(http->server, on_connection, http);
	evhttp_set_gencb(http->server, on_request, http);
	/* Backlog 0: it listens already. */
	http->listener = evconnlistener_new(
	    http->base, NULL, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!http->listener)
		return false;
	if (evhttp_bind_listener(http->server, http->listener))
		return true;
	evconnlistener_free(http->listener);
	return false;
}

struct http *
http_open(struct event_base *base, int fd, bool any_host,
    const struct http_page *pages, size_t n, void *arg)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	*http = (struct http){
		.base = base,
		.pages = pages,
		.n_pages = n,
		.arg = arg,
		.any_host = any_host,
	};
	if (prepare(http, fd))
		return http;
	http_close(http);
	errno = ENOMEM;
	return NULL;
}

void
http_close(struct http *http)
{
	if (!http)
		return;
	if (http->server)
		evhttp_free(http->server);
	sweep(http);
	if (http->sweep)
		event_free(http->sweep);
	if (http->look)
		event_free(http->look);
	free(http);
}
