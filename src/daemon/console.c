#include "daemon/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>

#include "base/log.h"
#include "conf/option.h"
#include "config.h"
#include "daemon/reload.h"
#include "daemon/signals.h"
#include "daemon/state.h"
#include "flow/flow.h"

/* What requests and answers look like; a later one may know more. */
#define PROTOCOL 1

/* Who asked for the reload that is under way. */
struct waiter {
	struct control_job job;
	TAILQ_ENTRY(waiter) entry;
	struct control_peer *peer;
	struct console *console;
};

TAILQ_HEAD(waiter_list, waiter);

struct console {
	struct control *control;
	struct waiter_list waiters;
};

json_t *
console_string(const char *text)
{
	json_t *string = json_string(text);
	char *copy = string ? NULL : strdup(text);

	for (char *c = copy; c && *c; c++)
		if (*c & 0x80)
			*c = '?';
	if (copy)
		string = json_string(copy);
	free(copy);
	return string;
}

static void
show_version(
    struct daemon *d, struct control_peer *peer, const struct request *r)
{
	(void)d;
	(void)r;
	control_print(peer,
	    json_pack("{s:s, s:i}", "version", PACKAGE_VERSION, "protocol",
		PROTOCOL));
	control_end(peer, EX_OK, "%s", "");
}

/* --- reload -------------------------------------------------------- */

static void
on_nothing(struct control_job *job)
{
	(void)job;
}

static void
on_waiter_gone(struct control_job *job)
{
	struct waiter *w = (struct waiter *)job;

	TAILQ_REMOVE(&w->console->waiters, w, entry);
	free(w);
}

void
console_on_reloaded(struct console *console)
{
	struct waiter *w;

	while (console && (w = TAILQ_FIRST(&console->waiters))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is the next */
		control_end(w->peer, EX_OK, "reloaded");
		on_waiter_gone(&w->job);
	}
}

/* What the log says meanwhile, the mistakes of the file above all. */
static void
on_logged(void *arg, enum log_level level, const char *line)
{
	control_print(arg,
	    json_pack("{s:s, s:o}", "severity",
		level == LOG_LEVEL_ERROR ? "error" : "warning", "text",
		console_string(line)));
}

static void
wait_for_reload(struct console *console, struct control_peer *peer)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w) {
		control_end(peer, EX_OK, "reloading");
		return;
	}
	*w = (struct waiter){
		.job = { .on_room = on_nothing, .on_gone = on_waiter_gone },
		.peer = peer,
		.console = console,
	};
	TAILQ_INSERT_TAIL(&console->waiters, w, entry);
	control_wait(peer, &w->job);
}

static void
reload(struct daemon *d, struct control_peer *peer, const struct request *r)
{
	bool begun;

	(void)r;
	if (d->draining) {
		control_end(peer, EXIT_FAILURE,
		    "the daemon drains: it reloads nothing any more");
		return;
	}
	log_tee(on_logged, peer);
	begun = reload_begin(d);
	log_tee(NULL, NULL);
	if (begun)
		wait_for_reload(d->console, peer);
	else
		control_end(peer, EX_CONFIG, "%s", "");
}

/* --- the others that change something ------------------------------ */

static void
drain(struct daemon *d, struct control_peer *peer, const struct request *r)
{
	long long live = (long long)d->live_total;

	(void)r;
	if (d->draining) {
		control_end(peer, EX_OK, "draining already, flows=%lld", live);
		return;
	}
	signals_drain(d);
	control_end(peer, EX_OK, "draining, flows=%lld", live);
}

struct killing {
	struct worker_errand errand;
	struct control_job job;
	struct control_peer *peer; /* NULL: gone */
	uint64_t id;
	bool found;
};

static void
kill_flow(struct worker_errand *errand, struct flow_set *flows)
{
	struct killing *k = (struct killing *)errand;

	k->found = flow_set_close(flows, k->id, ENDING_KILLED);
}

static void
on_killed(struct worker_errand *errand)
{
	struct killing *k = (struct killing *)errand;
	unsigned long long id = k->id;

	if (k->peer && k->found)
		control_end(k->peer, EX_OK, "killed flow %llu", id);
	else if (k->peer)
		control_end(k->peer, EXIT_FAILURE, "there is no flow %llu", id);
	free(k);
}

static void
on_killer_gone(struct control_job *job)
{
	struct killing *k =
	    (struct killing *)((char *)job - offsetof(struct killing, job));

	k->peer = NULL;
}

static void
kill_id(struct daemon *d, struct control_peer *peer, const struct request *r)
{
	struct killing *k;
	uint64_t id;

	if (!request_number(r->words[1], 1, UINT64_MAX, &id)) {
		control_end(peer, EX_USAGE, "\"%s\" is no number of a flow",
		    r->words[1]);
		return;
	}
	k = malloc(sizeof(*k));
	if (k)
		*k = (struct killing){
			.errand = { .run = kill_flow, .done = on_killed },
			.job = { on_nothing, on_killer_gone },
			.peer = peer,
			.id = id,
		};
	/* Ids go round the workers: worker_new. */
	if (!k ||
	    worker_send(
		d->workers[(id - 1) % d->shared.n_workers], &k->errand)) {
		free(k);
		control_end(peer, EXIT_FAILURE, "%s", strerror(ENOMEM));
		return;
	}
	control_wait(peer, &k->job);
}

static void
set_level(struct daemon *d, struct control_peer *peer, const struct request *r)
{
	const struct option_word *w =
	    option_find(OPTION_IN_LOG, "level")->words;

	(void)d;
	while (w->name && strcmp(w->name, r->words[1]))
		w++;
	if (!w->name) {
		control_end(peer, EX_USAGE,
		    "\"%s\" is no level (error, warning, notice, info, debug)",
		    r->words[1]);
		return;
	}
	log_set_level((enum log_level)w->value);
	control_end(
	    peer, EX_OK, "log level %s, until the next reload", w->name);
}

/* --- the table ----------------------------------------------------- */

static const struct row {
	const char *name;
	console_fn *run;
	size_t n_arguments;
	bool changes;
	const char *keys; /* of KEY=VALUE arguments: "policy limit" */
} rows[] = {
	{ "version", show_version, 0, false, "" },
	{ "show stats", console_show_stats, 0, false, "" },
	{ "show flows", console_show_flows, 0, false,
	    "policy src dst sort limit" },
	{ "show policies", console_show_policies, 0, false, "compare" },
	{ "show config", console_show_config, 0, false, "" },
	{ "reload", reload, 0, true, "" },
	{ "drain", drain, 0, true, "" },
	{ "kill", kill_id, 1, true, "" },
	{ "loglevel", set_level, 1, true, "" },
};

static bool
has_word(const char *list, const char *word, size_t len)
{
	while (*list) {
		size_t here = strcspn(list, " ");

		if (here == len && !strncmp(list, word, len))
			return true;
		list += here + (list[here] == ' ');
	}
	return false;
}

/* What is wrong with the arguments of R from the word I on, or NULL. */
static const char *
misfit(const struct row *row, const struct request *r, size_t i)
{
	size_t plain = 0;

	for (; i < r->n; i++) {
		size_t len = strcspn(r->words[i], "=");

		if (!r->words[i][len])
			plain++;
		else if (!has_word(row->keys, r->words[i], len))
			return "unknown argument of";
	}
	if (plain == row->n_arguments)
		return NULL;
	return plain < row->n_arguments ? "argument missing of"
					: "too many arguments of";
}

static void
dispatch(struct daemon *d, struct control_peer *peer, const struct row *row,
    const struct request *r, size_t n_words)
{
	const char *why = misfit(row, r, n_words);

	if (why)
		control_end(peer, EX_USAGE, "%s \"%s\"", why, row->name);
	else if (row->changes && !control_may_change(peer))
		control_end(peer, EX_NOPERM,
		    "\"%s\" is for root and the user that the daemon runs as",
		    row->name);
	else
		row->run(d, peer, r);
}

static void
on_request(void *owner, struct control_peer *peer, char *line)
{
	struct daemon *d = owner;
	struct request r;

	if (!request_parse(&r, line)) {
		control_end(peer, EX_USAGE, "a request has %d words at most",
		    REQUEST_WORDS);
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t n_words = request_match(&r, rows[i].name);

		if (n_words) {
			dispatch(d, peer, &rows[i], &r, n_words);
			return;
		}
	}
	control_end(
	    peer, EX_USAGE, "unknown request (unatatp(8) has them all)");
}

struct console *
console_new(struct daemon *d, int fd)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return NULL;
	TAILQ_INIT(&console->waiters);
	console->control = control_new(d->base, fd, on_request, d);
	if (console->control)
		return console;
	free(console);
	errno = ENOMEM;
	return NULL;
}

void
console_free(struct console *console)
{
	if (!console)
		return;
	control_free(console->control);
	free(console);
}
