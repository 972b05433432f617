#include "daemon/web.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sock.h"
#include "daemon/control_socket.h"
#include "daemon/http.h"
#include "daemon/metrics.h"
#include "daemon/state.h"
#include "daemon/status.h"

struct place {
	struct http *http;	       /* NULL: nowhere */
	struct control_socket at_path; /* fd -1: it is an address */
	int fd;			       /* of the address, likewise */
	char address[SOCK_PATH_MAX];
	int64_t port;
};

struct web {
	struct daemon *daemon;
	struct place now, next;
	bool changes; /* between web_prepare and its end */
};

static const struct place nowhere = { .fd = -1, .at_path.fd = -1 };

static int
write_metrics(void *arg, struct evhttp_request *request, struct evbuffer *out)
{
	const struct web *web = arg;

	(void)request;
	return metrics_write(web->daemon, out);
}

static int
write_status(void *arg, struct evhttp_request *request, struct evbuffer *out)
{
	const struct web *web = arg;

	return status_write(web->daemon, request, out);
}

static int
write_page(void *arg, struct evhttp_request *request, struct evbuffer *out)
{
	(void)arg;
	return status_write_page(request, out);
}

static const struct http_page pages[] = {
	{ "/", "text/html; charset=utf-8", write_page },
	{ "/status.json", "application/json", write_status },
	{ "/metrics", METRICS_TYPE, write_metrics },
};

static void
close_place(struct place *place)
{
	http_close(place->http);
	control_socket_close(&place->at_path);
	if (place->fd >= 0)
		close(place->fd);
	*place = nowhere;
}

/* The descriptor, which is PLACE's, or -errno. */
static int
open_address(struct place *place)
{
	struct addr a;
	int err = addr_parse(&a, place->address, (uint16_t)place->port);

	if (err)
		return err;
	place->fd = sock_listen_plain(&a);
	return place->fd;
}

static const char *
mend_of(int err)
{
	if (err == -EACCES)
		return " (ports below 1024 need root, at start only)";
	return err == -EADDRINUSE ? " (another process has it: ss -ltnp)" : "";
}

static bool
open_place(struct web *web, struct place *place, const struct conf *conf)
{
	char why[CONTROL_SOCKET_WHY_MAX];
	bool path = *place->address == '/';
	int fd;

	if (path)
		fd = control_socket_make(
		    &place->at_path, place->address, conf, why);
	else
		fd = open_address(place);
	if (fd >= 0)
		place->http = http_open(web->daemon->base, fd, path, pages,
		    sizeof(pages) / sizeof(*pages), web);
	if (place->http)
		return true;
	if (path && fd < 0)
		log_error(
		    "metrics: cannot listen at %s: %s", place->address, why);
	else
		log_error("metrics: cannot listen on %s port %lld: %s%s",
		    place->address, (long long)place->port,
		    strerror(fd < 0 ? -fd : errno), mend_of(fd));
	return false;
}

bool
web_prepare(struct web *web, const struct conf *conf)
{
	const struct conf_metrics *m = &conf->metrics;
	struct place *next = &web->next;

	if (!strcmp(web->now.address, m->address) &&
	    (*m->address == '/' || web->now.port == m->port))
		return true;
	*next = nowhere;
	strcpy(next->address, m->address);
	next->port = m->port;
	if (*m->address && !open_place(web, next, conf)) {
		close_place(next);
		return false;
	}
	web->changes = true;
	return true;
}

void
web_commit(struct web *web)
{
	if (!web->changes)
		return;
	close_place(&web->now);
	web->now = web->next;
	web->changes = false;
	if (!web->now.http)
		return;
	if (*web->now.address == '/')
		log_notice("metrics at %s", web->now.address);
	else
		log_notice("metrics on %s port %lld", web->now.address,
		    (long long)web->now.port);
}

void
web_abort(struct web *web)
{
	if (web->changes)
		close_place(&web->next);
	web->changes = false;
}

struct web *
web_new(struct daemon *d)
{
	struct web *web = calloc(1, sizeof(*web));

	if (!web)
		return NULL;
	web->daemon = d;
	web->now = web->next = nowhere;
	return web;
}

void
web_free(struct web *web)
{
	if (!web)
		return;
	web_abort(web);
	close_place(&web->now);
	free(web);
}
