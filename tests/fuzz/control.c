/*
 * Requests on the control socket, of two clients: what they send, in what
 * pieces, when they read and when they leave. Bytes go to the client whose
 * turn it is; after a 0xff comes a step. The workers are a list of errands
 * here, and their flows are made up.
 */
#include "daemon/control.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "answers.h"
#include "daemon/console.h"
#include "daemon/policies.h"
#include "daemon/reload.h"
#include "daemon/signals.h"
#include "daemon/state.h"
#include "flow/flow.h"
#include "flow/flow_view.h"
#include "fuzz.h"

#define CLIENTS 2
#define WORKERS 2
#define FLOWS 5 /* of a worker */
#define ERRANDS_MOST 64
#define TURNS_MOST 5000
#define TEXT_MOST (1 << 18)

struct client {
	int fd;
	bool closed, ended; /* in both directions; in the one to the daemon */
	size_t line;	    /* bytes of it that have no end yet */
	bool too_long, lost;
	size_t n_requests, n_ends;
	char *text; /* what it was told, as far as it is no whole line */
	size_t n;
};

static struct client clients[CLIENTS], *now;
static char texts[CLIENTS][TEXT_MOST];
static struct daemon d;
static struct worker_errand *errands[ERRANDS_MOST];
static size_t n_errands, n_cursors;
static int listener;
static uid_t uid;
static struct sockaddr_un place = { .sun_family = AF_UNIX };
static socklen_t place_len = sizeof(sa_family_t);

/* --- in the place of workers, flows, reloads ----------------------- */

int __wrap_worker_send(struct worker *w, struct worker_errand *errand);
size_t __wrap_flow_look(struct flow_set *set, struct flow_cursor *cursor,
    const struct flow_filter *filter, struct flow_view *views, size_t most);
void __wrap_flow_look_leave(struct flow_cursor *cursor);
bool __wrap_flow_set_close(
    struct flow_set *set, uint64_t id, enum ending ending);
bool __wrap_reload_begin(struct daemon *daemon);
void __wrap_signals_drain(struct daemon *daemon);
int __wrap_sock_unix_peer(int fd, uid_t *peer, pid_t *pid);

int
__wrap_worker_send(struct worker *w, struct worker_errand *errand)
{
	FUZZ_CHECK(w);
	if (n_errands == ERRANDS_MOST)
		return -ENOMEM;
	errands[n_errands++] = errand;
	return 0;
}

static void
make_up(struct flow_view *view, uint64_t id)
{
	*view = (struct flow_view){ .policy = "default",
		.id = id,
		.rates = { id * 7 % 5, id },
		.age_ms = (int64_t)(id % 3),
		.state = FLOW_OPEN,
		.engine = "buffer" };
	view->legs[RELAY_CLIENT].there = true;
	FUZZ_CHECK(!addr_parse(&view->src, "192.0.2.1", 5000));
	FUZZ_CHECK(!addr_parse(&view->dst, "2001:db8::1", 443));
}

/* The place in the walk is where the cursor's `next' would point. */
size_t
__wrap_flow_look(struct flow_set *set, struct flow_cursor *cursor,
    const struct flow_filter *filter, struct flow_view *views, size_t most)
{
	uintptr_t at = (uintptr_t)cursor->next;
	size_t n = 0;

	(void)set;
	FUZZ_CHECK(filter && !cursor->done);
	n_cursors += !cursor->begun;
	cursor->begun = true;
	while (n < most && at < FLOWS)
		make_up(&views[n++], ++at);
	cursor->next = (struct flow *)at;
	cursor->done = at == FLOWS;
	n_cursors -= cursor->done;
	return n;
}

void
__wrap_flow_look_leave(struct flow_cursor *cursor)
{
	n_cursors -= cursor->begun && !cursor->done;
	cursor->done = true;
}

bool
__wrap_flow_set_close(struct flow_set *set, uint64_t id, enum ending ending)
{
	(void)set;
	FUZZ_CHECK(id && ending == ENDING_KILLED);
	return id <= FLOWS;
}

bool
__wrap_reload_begin(struct daemon *daemon)
{
	return ++daemon->reloads_good % 3;
}

void
__wrap_signals_drain(struct daemon *daemon)
{
	daemon->draining = true;
}

int
__wrap_sock_unix_peer(int fd, uid_t *peer, pid_t *pid)
{
	FUZZ_CHECK(fd >= 0);
	*peer = uid;
	*pid = 1;
	return 0;
}

/* --- what a client hears ------------------------------------------- */

static void
check_line(struct client *c, char *line)
{
	json_t *object;

	if (*line != '{') {
		FUZZ_CHECK(!strncmp(line, "end ", 4));
		c->n_ends++;
		return;
	}
	object = json_loads(line, 0, NULL);
	FUZZ_CHECK(json_is_object(object));
	json_decref(object);
}

static void
check_lines(struct client *c)
{
	char *line = c->text, *end;

	while ((end = memchr(line, '\n', (size_t)(c->text + c->n - line)))) {
		*end = '\0';
		check_line(c, line);
		line = end + 1;
	}
	c->n -= (size_t)(line - c->text);
	memmove(c->text, line, c->n);
}

/* False: there is nothing now. */
static bool
hear(struct client *c, size_t most)
{
	ssize_t n;

	if (c->closed)
		return false;
	FUZZ_CHECK(c->n < TEXT_MOST);
	if (most > TEXT_MOST - c->n)
		most = TEXT_MOST - c->n;
	n = recv(c->fd, c->text + c->n, most, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return false;
	c->closed = n <= 0;
	if (n > 0)
		c->n += (size_t)n;
	check_lines(c);
	return true;
}

static void
say(struct client *c, const uint8_t *data, size_t size)
{
	if (c->ended || c->closed)
		return;
	/* Half a request would count as one that has no answer. */
	c->lost |= send(c->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)size;
	for (size_t i = 0; i < size; i++) {
		c->line = data[i] == '\n' ? 0 : c->line + 1;
		c->n_requests += data[i] == '\n';
		c->too_long |= c->line >= CONTROL_LINE_MAX - 1;
	}
}

/* --- steps --------------------------------------------------------- */

static void
turn(void)
{
	event_base_loop(d.base, EVLOOP_NONBLOCK);
}

static bool
run_errand(void)
{
	struct worker_errand *errand = errands[0];

	if (!n_errands)
		return false;
	memmove(errands, errands + 1, --n_errands * sizeof(*errands));
	errand->run(errand, NULL);
	errand->done(errand);
	return true;
}

static void
step(uint8_t what)
{
	switch (what % 8) {
	case 0:
		now = &clients[now == &clients[0]];
		break;
	case 1:
		run_errand();
		break;
	case 2:
		console_on_reloaded(d.console);
		break;
	case 3:
		shutdown(now->fd, SHUT_WR);
		now->ended = true;
		break;
	case 4:
		hear(now, 16 * (1 + what / 8));
		break;
	case 5: /* gone, whatever waits for it */
		close(now->fd);
		now->fd = -1;
		now->ended = now->closed = now->lost = true;
		break;
	default:
		turn();
	}
}

static void
follow(const uint8_t *data, size_t size)
{
	while (size) {
		const uint8_t *end = memchr(data, 0xff, size);
		size_t n = end ? (size_t)(end - data) : size;

		if (n)
			say(now, data, n);
		data += n;
		size -= n;
		if (size < 2)
			return;
		step(data[1]);
		data += 2;
		size -= 2;
	}
}

/* Every request gets its answer, and every client its end. */
static void
settle(void)
{
	bool busy = true;

	for (int i = 0; i < CLIENTS; i++)
		if (!clients[i].ended)
			shutdown(clients[i].fd, SHUT_WR);
	for (int turns = 0; busy; turns++) {
		FUZZ_CHECK(turns < TURNS_MOST);
		turn();
		console_on_reloaded(d.console);
		busy = run_errand();
		for (int i = 0; i < CLIENTS; i++) {
			hear(&clients[i], 65536);
			busy |= !clients[i].closed;
		}
	}
	for (int i = 0; i < CLIENTS; i++) {
		const struct client *c = &clients[i];

		if (!c->lost && !c->too_long)
			FUZZ_CHECK(c->n_ends == c->n_requests);
		FUZZ_CHECK(c->lost || !c->n);
	}
	FUZZ_CHECK(!n_cursors);
}

/* --- from the beginning to the end --------------------------------- */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char text[] =
	    "policies = ( { name = \"a\"; sources = [ \"10.0.0.0/8\" ]; },"
	    " { name = \"b\"; action = \"reject\"; } );";

	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	d.base = event_base_new();
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	/* No name: the kernel makes an abstract one, unix(7). */
	FUZZ_CHECK(!bind(listener, (struct sockaddr *)&place, place_len));
	place_len = sizeof(place);
	FUZZ_CHECK(
	    !getsockname(listener, (struct sockaddr *)&place, &place_len));
	FUZZ_CHECK(!listen(listener, 8));
	d.conf = answers_conf(text);
	d.workers = calloc(WORKERS, sizeof(*d.workers));
	FUZZ_CHECK(d.workers);
	for (size_t i = 0; i < WORKERS; i++)
		d.workers[i] = (struct worker *)&d; /* nobody looks inside */
	d.shared.n_workers = WORKERS;
	d.policies = policies_new(WORKERS, d.base);
	FUZZ_CHECK(d.policies && !policies_learn(d.policies, d.conf));
	return 0;
}

static void
begin(uint8_t who)
{
	d.draining = false;
	d.reloads_good = who;
	uid = who & 1 ? 0 : 4711;
	n_errands = n_cursors = 0;
	d.console = console_new(&d, listener);
	FUZZ_CHECK(d.console);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client){ .text = texts[i] };
		clients[i].fd = socket(AF_UNIX, SOCK_STREAM, 0);
		FUZZ_CHECK(clients[i].fd >= 0);
		FUZZ_CHECK(!connect(
		    clients[i].fd, (struct sockaddr *)&place, place_len));
	}
	now = &clients[0];
	turn();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = fuzz_open_fds();

	if (!size)
		return 0;
	begin(*data);
	follow(data + 1, size - 1);
	if (*data & 2) /* the daemon ends in the midst of it */
		for (int i = 0; i < CLIENTS; i++)
			clients[i].lost = true;
	else
		settle();
	console_free(d.console);
	d.console = NULL;
	while (run_errand())
		;
	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i].fd >= 0)
			close(clients[i].fd);
	}
	turn();
	FUZZ_CHECK(fuzz_open_fds() == before);
	return 0;
}
