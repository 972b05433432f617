#include "daemon/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privs.h"
#include "base/sock_unix.h"

struct control_peer {
	TAILQ_ENTRY(control_peer) entry;
	struct control *control;
	struct bufferevent *stream;
	struct event *turn;	 /* the next request, not below the last */
	struct control_job *job; /* of an answer that is not ready yet */
	bool may_change;
	bool busy;  /* with a request whose answer has no end yet */
	bool ended; /* will send nothing more that is read */
};

TAILQ_HEAD(peer_list, control_peer);

struct control {
	struct peer_list peers;
	size_t n_peers, n_readers;
	struct event *listener, *retry;
	control_request_fn *on_request;
	void *owner;
	struct event_base *base;
};

static void
peer_free(struct control_peer *peer)
{
	struct control *control = peer->control;

	TAILQ_REMOVE(&control->peers, peer, entry);
	control->n_peers--;
	control->n_readers -= !peer->may_change;
	if (peer->job)
		peer->job->on_gone(peer->job);
	bufferevent_free(peer->stream);
	event_free(peer->turn);
	free(peer);
}

static size_t
pending(const struct control_peer *peer)
{
	return evbuffer_get_length(bufferevent_get_output(peer->stream));
}

static void
take_line(struct control_peer *peer, char *line)
{
	peer->busy = true;
	bufferevent_disable(peer->stream, EV_READ);
	peer->control->on_request(peer->control->owner, peer, line);
}

static void
refuse_line(struct control_peer *peer)
{
	struct evbuffer *in = bufferevent_get_input(peer->stream);

	evbuffer_drain(in, evbuffer_get_length(in));
	bufferevent_disable(peer->stream, EV_READ);
	peer->ended = true;
	control_end(peer, EX_USAGE, "a request has %d bytes at most",
	    CONTROL_LINE_MAX - 1);
}

/* The next of what PEER has sent, one request at a time. */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct control_peer *peer = arg;
	struct evbuffer *in = bufferevent_get_input(peer->stream);
	char *line;

	(void)fd;
	(void)what;
	/* libevent keeps it to itself when it could not wait for room. */
	if (pending(peer) && bufferevent_enable(peer->stream, EV_WRITE)) {
		peer_free(peer);
		return;
	}
	if (peer->busy || pending(peer) > CONTROL_PENDING)
		return;
	line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
	if (line && strlen(line) < CONTROL_LINE_MAX)
		take_line(peer, line);
	else if (line || evbuffer_get_length(in) >= CONTROL_LINE_MAX)
		refuse_line(peer);
	else if (evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_CRLF).pos >=
	    0)
		peer_free(peer); /* out of memory for a line that is there */
	else if (peer->ended ? !pending(peer)
			     : bufferevent_enable(peer->stream, EV_READ))
		peer_free(peer);
	free(line);
}

static void
on_input(struct bufferevent *stream, void *arg)
{
	(void)stream;
	on_turn(-1, 0, arg);
}

static void
on_output(struct bufferevent *stream, void *arg)
{
	struct control_peer *peer = arg;

	(void)stream;
	if (peer->job)
		peer->job->on_room(peer->job);
	else
		on_turn(-1, 0, peer);
}

/* What it asked before it shut its end down is answered. */
static void
on_state(struct bufferevent *stream, short what, void *arg)
{
	struct control_peer *peer = arg;

	(void)stream;
	if (!(what & BEV_EVENT_EOF)) { /* an error, or time is up */
		peer_free(peer);
		return;
	}
	peer->ended = true;
	on_turn(-1, 0, peer);
}

static struct control_peer *
peer_new(struct control *control, int fd, bool may_change)
{
	const struct timeval idle = { CONTROL_IDLE_S, 0 };
	const struct timeval stalled = { CONTROL_STALLED_S, 0 };
	struct control_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->control = control;
	peer->may_change = may_change;
	peer->turn = event_new(control->base, -1, 0, on_turn, peer);
	peer->stream =
	    bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!peer->turn || !peer->stream)
		goto fail;
	bufferevent_setcb(peer->stream, on_input, on_output, on_state, peer);
	bufferevent_setwatermark(
	    peer->stream, EV_READ, 0, CONTROL_LINE_MAX + 1);
	bufferevent_setwatermark(peer->stream, EV_WRITE, CONTROL_PENDING, 0);
	bufferevent_set_timeouts(peer->stream, &idle, &stalled);
	if (bufferevent_enable(peer->stream, EV_READ | EV_WRITE))
		goto fail;
	TAILQ_INSERT_TAIL(&control->peers, peer, entry);
	control->n_peers++;
	control->n_readers += !may_change;
	return peer;
fail:
	if (peer->stream) {
		bufferevent_setfd(peer->stream, -1); /* the caller's */
		bufferevent_free(peer->stream);
	}
	if (peer->turn)
		event_free(peer->turn);
	free(peer);
	return NULL;
}

static void
admit(struct control *control, int fd)
{
	static const char full[] = "end 1 too many clients, try again\n";
	bool may_change, room;
	uid_t uid;
	pid_t pid;
	ssize_t n;

	if (sock_unix_peer(fd, &uid, &pid)) {
		close(fd);
		return;
	}
	may_change = !uid || uid == geteuid();
	room = control->n_peers < CONTROL_CLIENTS &&
	    (may_change || control->n_readers < CONTROL_READERS);
	if (room && peer_new(control, fd, may_change))
		return;
	n = write(fd, full, sizeof(full) - 1);
	(void)n;
	close(fd);
}

/* Without descriptors the socket would wake us again and again. */
static void
pause_listener(struct control *control)
{
	const struct timeval second = { 1, 0 };

	event_del(control->listener);
	event_add(control->retry, &second);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	event_add(control->listener, NULL);
}

/* Flows may use every descriptor up, which is when somebody wants to look. */
static int
accept_client(int listener)
{
	int client = sock_unix_accept(listener);

	if (client != -EMFILE)
		return client;
	privs_use_reserve(true);
	client = sock_unix_accept(listener);
	privs_use_reserve(false);
	return client;
}

static void
on_client(evutil_socket_t fd, short what, void *arg)
{
	int client = accept_client(fd);

	(void)what;
	if (client >= 0)
		admit(arg, client);
	else if (client == -EMFILE || client == -ENFILE || client == -ENOMEM ||
	    client == -ENOBUFS)
		pause_listener(arg);
}

struct control *
control_new(struct event_base *base, int fd, control_request_fn *on_request,
    void *owner)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	*control = (struct control){
		.on_request = on_request,
		.owner = owner,
		.base = base,
	};
	TAILQ_INIT(&control->peers);
	control->retry = evtimer_new(base, on_retry, control);
	control->listener =
	    event_new(base, fd, EV_READ | EV_PERSIST, on_client, control);
	if (control->retry && control->listener &&
	    !event_add(control->listener, NULL))
		return control;
	control_free(control);
	errno = ENOMEM;
	return NULL;
}

/* The last words of the loop that has ended, as far as they fit. */
static void
say_last(struct control_peer *peer)
{
	struct evbuffer *out = bufferevent_get_output(peer->stream);

	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, bufferevent_getfd(peer->stream));
}

void
control_free(struct control *control)
{
	struct control_peer *peer;

	if (!control)
		return;
	while ((peer = TAILQ_FIRST(&control->peers))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is the next */
		say_last(peer);
		peer_free(peer);
	}
	if (control->listener)
		event_free(control->listener);
	if (control->retry)
		event_free(control->retry);
	free(control);
}

bool
control_may_change(const struct control_peer *peer)
{
	return peer->may_change;
}

void
control_print(struct control_peer *peer, json_t *object)
{
	struct evbuffer *out = bufferevent_get_output(peer->stream);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	if (!text || evbuffer_add_printf(out, "%s\n", text) < 0) {
		log_tee(NULL, NULL); /* or this very line came here, too */
		log_error("control: out of memory for an answer");
	}
	free(text);
	json_decref(object);
}

bool
control_is_full(const struct control_peer *peer)
{
	return pending(peer) >= CONTROL_PENDING;
}

void
control_wait(struct control_peer *peer, struct control_job *job)
{
	peer->job = job;
}

void
control_end(struct control_peer *peer, int status, const char *format, ...)
{
	struct evbuffer *out = bufferevent_get_output(peer->stream);
	va_list ap;

	evbuffer_add_printf(out, "end %d ", status);
	va_start(ap, format);
	evbuffer_add_vprintf(out, format, ap);
	va_end(ap);
	evbuffer_add(out, "\n", 1);
	peer->job = NULL;
	peer->busy = false;
	event_active(peer->turn, EV_TIMEOUT, 0);
}
