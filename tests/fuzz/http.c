/*
 * What a client may send to the metrics listener. The first byte says
 * whether any host is allowed, and how the rest is cut into pieces: a byte
 * 0xff ends one where it is odd.
 */
#include "daemon/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/status.h"
#include "fuzz.h"

#define TURNS 200

static struct event_base *base;
static int listener;
static struct sockaddr_un place = { .sun_family = AF_UNIX };
static socklen_t place_len = sizeof(sa_family_t);

static int
write_page(void *arg, struct evhttp_request *request, struct evbuffer *body)
{
	(void)arg;
	return status_write_page(request, body);
}

static int
write_nothing(void *arg, struct evhttp_request *request, struct evbuffer *body)
{
	(void)arg;
	(void)request;
	(void)body;
	return -ENOMEM;
}

static int
write_metrics(void *arg, struct evhttp_request *request, struct evbuffer *body)
{
	(void)arg;
	(void)request;
	return evbuffer_add_printf(body, "unatatp_open_fds 7\n") < 0;
}

static const struct http_page pages[] = {
	{ "/", "text/html; charset=utf-8", write_page },
	{ "/status.json", "application/json", write_nothing },
	{ "/metrics", "text/plain", write_metrics },
};

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	/* No name: the kernel makes an abstract one, unix(7). */
	FUZZ_CHECK(!bind(listener, (struct sockaddr *)&place, place_len));
	place_len = sizeof(place);
	FUZZ_CHECK(
	    !getsockname(listener, (struct sockaddr *)&place, &place_len));
	FUZZ_CHECK(base && !listen(listener, 8));
	return 0;
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Sends DATA in pieces; what does not fit is left out. */
static void
send_pieces(int fd, const uint8_t *data, size_t size, bool pieces)
{
	while (size) {
		const uint8_t *end = pieces ? memchr(data, 0xff, size) : NULL;
		size_t n = end ? (size_t)(end - data) : size;

		if (n && write(fd, data, n) < 0)
			return;
		turn();
		n += end != NULL;
		data += n;
		size -= n;
	}
}

/* Reads to the end; whatever comes is an answer. False: there is no end. */
static bool
hear(int fd)
{
	char text[65536] = "";
	size_t len = 0;

	for (int i = 0; i < TURNS; i++) {
		ssize_t n =
		    recv(fd, text + len, sizeof(text) - len - 1, MSG_DONTWAIT);

		if (n > 0)
			len += (size_t)n;
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			/* libevent echoes the version that was asked for. */
			FUZZ_CHECK(!len || !strncmp(text, "HTTP/", 5));
			return true;
		}
		turn();
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd, before = fuzz_open_fds();
	struct http *http;

	if (!size)
		return 0;
	http = http_open(base, listener, *data & 2, pages,
	    sizeof(pages) / sizeof(*pages), NULL);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(http && fd >= 0);
	FUZZ_CHECK(!connect(fd, (struct sockaddr *)&place, place_len));
	turn();
	send_pieces(fd, data + 1, size - 1, *data & 1);
	shutdown(fd, SHUT_WR);
	FUZZ_CHECK(hear(fd));
	close(fd);
	http_close(http);
	turn();
	FUZZ_CHECK(fuzz_open_fds() == before);
	return 0;
}
