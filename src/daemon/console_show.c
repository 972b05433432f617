/* What the console shows of the daemon as a whole. */
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/console.h"
#include "daemon/signals.h"
#include "daemon/state.h"

static json_t *
file_of(const struct daemon *d)
{
	return d->path ? console_string(d->path) : json_null();
}

static json_t *
counter(const stats_counter *c)
{
	return json_integer(
	    (json_int_t)atomic_load_explicit(c, memory_order_relaxed));
}

static json_t *
endings(const stats_counter counts[ENDING_COUNT])
{
	json_t *object = json_object();

	for (int i = 0; i < ENDING_COUNT; i++)
		json_object_set_new(
		    object, ending_word((enum ending)i), counter(&counts[i]));
	return object;
}

void
console_show_stats(
    struct daemon *d, struct control_peer *peer, const struct request *r)
{
	struct stats sum = { 0 };
	json_t *object;

	(void)r;
	signals_sum_stats(d, &sum);
	object = json_pack(
	    "{s:s, s:i, s:I, s:I, s:b, s:o, s:I, s:I, s:I, s:b, s:I}",
	    "version", PACKAGE_VERSION, "pid", (int)getpid(), "uptime_ms",
	    (json_int_t)(clock_ms() - d->started_ms), "workers",
	    (json_int_t)d->shared.n_workers, "draining", (int)d->draining,
	    "file", file_of(d), "loaded", (json_int_t)d->loaded_at,
	    "reloads_good", (json_int_t)d->reloads_good, "reloads_refused",
	    (json_int_t)d->reloads_refused, "last_refused",
	    (int)d->last_refused, "flows_active", (json_int_t)d->live_total);
#define X(name) json_object_set_new(object, #name, counter(&sum.name));
	STATS_TABLE(X)
#undef X
	json_object_set_new(object, "endings", endings(sum.endings));
	control_print(peer, object);
	control_end(peer, EX_OK, "%s", "");
}

void
console_show_config(
    struct daemon *d, struct control_peer *peer, const struct request *r)
{
	struct evbuffer *out = evbuffer_new();
	const char *text = NULL;

	(void)r;
	if (out && !conf_print(d->conf, out) && !evbuffer_add(out, "", 1))
		text = (const char *)evbuffer_pullup(out, -1);
	if (text) {
		control_print(peer,
		    json_pack("{s:o, s:I, s:o}", "file", file_of(d), "loaded",
			(json_int_t)d->loaded_at, "text",
			console_string(text)));
		control_end(peer, EX_OK, "%s", "");
	} else {
		control_end(peer, EXIT_FAILURE, "%s", strerror(ENOMEM));
	}
	if (out)
		evbuffer_free(out);
}
