/*
 * Memory runs out at each allocation in turn: whoever makes something says
 * so, and has given back what it had by then. The linker puts the functions
 * below in the place of those of libc and libevent, for our calls alone.
 */
#include "unit.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/file.h"
#include "base/localaddr.h"
#include "base/mailbox.h"
#include "base/poller.h"
#include "base/sock.h"
#include "conf/prefix_set.h"
#include "daemon/http.h"
#include "daemon/policies.h"
#include "flow/choosers.h"
#include "flow/sources.h"
#include "gateway/match.h"
#include "gateway/plan.h"
#include "gateway/state.h"

#define FAILURES_MAX 10000 /* so many allocations does nothing here make */

static long until_failure; /* 0: none fails */
static bool failed;

static bool
fails(void)
{
	if (!until_failure || --until_failure)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

/* --- what is held ---------------------------------------------------- */

static void *held[16384];
static size_t n_held;

static void *
hold(void *p)
{
	assert_true(n_held < sizeof(held) / sizeof(*held));
	if (p)
		held[n_held++] = p;
	return p;
}

/* One that we have not seen was made by a library. */
static void
let_go(const void *p)
{
	for (size_t i = n_held; p && i-- > 0;)
		if (held[i] == p) {
			held[i] = held[--n_held];
			return;
		}
}

/* --- in the place of others ------------------------------------------ */

#define STAND_IN(type, name, params, args)                        \
	type __real_##name params;                                \
	type __wrap_##name params;                                \
                                                                  \
	type __wrap_##name params                                 \
	{                                                         \
		return fails() ? NULL : hold(__real_##name args); \
	}

STAND_IN(void *, malloc, (size_t size), (size))
STAND_IN(void *, calloc, (size_t n, size_t size), (n, size))
STAND_IN(char *, strdup, (const char *text), (text))
STAND_IN(char *, strndup, (const char *text, size_t n), (text, n))
STAND_IN(struct event *, event_new,
    (struct event_base * base, evutil_socket_t fd, short what,
	event_callback_fn fn, void *arg),
    (base, fd, what, fn, arg))
STAND_IN(FILE *, open_memstream, (char **at, size_t *size), (at, size))
STAND_IN(struct evhttp *, evhttp_new, (struct event_base * base), (base))

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);
void __real_event_free(struct event *event);
void __wrap_event_free(struct event *event);
void __real_evhttp_free(struct evhttp *http);
void __wrap_evhttp_free(struct evhttp *http);
int __real_event_add(struct event *event, const struct timeval *after);
int __wrap_event_add(struct event *event, const struct timeval *after);
struct evhttp_bound_socket *__wrap_evhttp_bind_listener(
    struct evhttp *http, struct evconnlistener *listener);
struct evhttp_bound_socket *__real_evhttp_bind_listener(
    struct evhttp *http, struct evconnlistener *listener);

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	void *now = fails() ? NULL : __real_reallocarray(p, n, size);

	if (!now)
		return NULL;
	let_go(p);
	return hold(now);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return __wrap_reallocarray(p, 1, size);
}

void
__wrap_free(void *p)
{
	let_go(p);
	__real_free(p);
}

int
__wrap_fclose(FILE *file)
{
	let_go(file);
	return __real_fclose(file);
}

void
__wrap_event_free(struct event *event)
{
	let_go(event);
	__real_event_free(event);
}

void
__wrap_evhttp_free(struct evhttp *http)
{
	let_go(http);
	__real_evhttp_free(http);
}

int
__wrap_event_add(struct event *event, const struct timeval *after)
{
	return fails() ? -1 : __real_event_add(event, after);
}

struct evhttp_bound_socket *
__wrap_evhttp_bind_listener(
    struct evhttp *http, struct evconnlistener *listener)
{
	return fails() ? NULL : __real_evhttp_bind_listener(http, listener);
}

/* --- what is made ---------------------------------------------------- */

static struct event_base *base;
static struct conf *good;

static const char text[] = "listen = ( { address = \"127.0.0.1\"; "
			   "port = 9999; }, { address = \"::1\"; } );\n"
			   "policies = ( { name = \"one\"; sources = "
			   "[ \"10.0.0.0/8\", \"fd00::/8\", \"10.1.0.0/16\" ]; "
			   "ports = [ \"80\", \"8000-8999\" ];\n"
			   "client = { congestion = \"auto\"; "
			   "congestion_among = [ \"cubic\", \"reno\" ]; }; },\n"
			   "{ name = \"two\"; destinations = [ \"::/0\" ]; } );"
			   "firewall = { interfaces = [ \"lan\", \"wg0\" ]; };"
			   "\n";

/* Each makes something and drops it. 0, or -errno when it could not. */
typedef int make_fn(void);

static int
make_mailbox(void)
{
	struct mailbox *box = mailbox_new(base, NULL);
	int err = box ? 0 : -errno;

	mailbox_free(box);
	return err;
}

static int
make_poller(void)
{
	struct poller *poller = poller_new(base);
	int err = poller ? 0 : -errno;

	poller_free(poller);
	return err;
}

static int
make_localaddr(void)
{
	struct localaddr_set *set = localaddr_read();
	int err = set ? 0 : -errno;

	localaddr_unref(set);
	return err;
}

static void
on_change(void *arg)
{
	(void)arg;
}

static int
make_watch(void)
{
	struct localaddr_watch *watch =
	    localaddr_watch_new(base, on_change, NULL);
	int err = watch ? 0 : -errno;

	localaddr_watch_free(watch);
	return err;
}

static int
make_prefix_set(void)
{
	struct prefix_tag items[3] = { { unit_prefix("10.0.0.0/8"), 1 },
		{ unit_prefix("10.1.0.0/16"), 2 },
		{ unit_prefix("fd00::/8"), 3 } };
	struct prefix_set *set = prefix_set_new(items, 3);
	int err = set ? 0 : -errno;

	prefix_set_free(set);
	return err;
}

static int
make_conf(void)
{
	struct conf *conf = unit_conf(text, NULL);

	if (!conf) {
		if (!strstr(unit_said, "memory\n"))
			fail_msg("it says: %s", unit_said);
		return -ENOMEM;
	}
	conf_unref(conf);
	return 0;
}

static int
make_policies(void)
{
	struct policies *p = policies_new(2, base);
	int err = p ? policies_learn(p, good) : -ENOMEM;
	struct policy_stats **stats =
	    err ? NULL : policies_of_worker(p, good, 1);

	if (!err && !stats)
		err = -ENOMEM;
	free(stats);
	policies_free(p);
	return err;
}

static int
make_http(void)
{
	static const struct http_page pages[1];
	int fd = sock_stream(AF_INET), err;
	struct http *http;

	assert_true(fd >= 0);
	http = http_open(base, fd, false, pages, 1, NULL);
	err = http ? 0 : -errno;
	http_close(http);
	close(fd);
	return err;
}

static int
make_sources(void)
{
	struct sources *all = sources_new();
	struct addr client = unit_addr("10.0.0.1", 1);
	struct source *entry;
	int err = all ? sources_enter(all, &client, 0, &entry) : -errno;

	if (!err)
		sources_leave(all, entry);
	sources_free(all);
	return err;
}

static int
make_choosers(void)
{
	struct choosers *all = choosers_new();

	choosers_free(all);
	return all ? 0 : -ENOMEM;
}

static int
make_match(void)
{
	struct prefix list[2] = { unit_prefix("10.0.0.0/8"),
		unit_prefix("10.1.0.0/16") };
	struct match m;
	int err = match_make(&m, list, 2, AF_INET);

	if (!err)
		match_clear(&m);
	return err;
}

/* What nft is to get, and the steps that lead there. */
static int
make_rules(void)
{
	static const struct state nothing;
	struct plan plan = { 0 };
	struct state want;
	int err = state_want(&want, good, STATE_NFT, &nothing);

	if (!err)
		state_change(&plan, &nothing, &want, &nothing);
	if (plan.failed)
		err = -ENOMEM;
	plan_clear(&plan);
	state_clear(&want);
	return err;
}

/* --- the test -------------------------------------------------------- */

/* clang-format off */
static const struct {
	const char *name;
	make_fn *make;
	bool may_do_without; /* some of it */
} rows[] = {
	{ "mailbox", make_mailbox, false },
	{ "poller", make_poller, false },
	{ "localaddr", make_localaddr, false },
	{ "localaddr_watch", make_watch, false },
	{ "prefix_set", make_prefix_set, false },
	{ "conf", make_conf, false },
	{ "policies", make_policies, false },
	{ "http", make_http, false },
	{ "sources", make_sources, false },
	{ "choosers", make_choosers, false },
	{ "match", make_match, false },
	{ "rules", make_rules, true }, /* whether IPv6 is off */
};
/* clang-format on */

/* How many descriptors we have: the lowest that is free. */
static int
descriptors(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static void
test_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		long nth = 0;

		/* What is made once for all is made now. */
		assert_int_equal(rows[i].make(), 0);
		do {
			size_t before = n_held;
			int fds = descriptors(), err;

			failed = false;
			until_failure = ++nth;
			err = rows[i].make();
			until_failure = 0;
			if (err ? err != -ENOMEM || !failed
				: failed && !rows[i].may_do_without)
				fail_msg("%s, allocation %ld: %d", rows[i].name,
				    nth, err);
			if (n_held != before || descriptors() != fds)
				fail_msg("%s, allocation %ld: %zd blocks, "
					 "%d descriptors are left",
				    rows[i].name, nth,
				    (ssize_t)(n_held - before),
				    descriptors() - fds);
		} while (failed && nth < FAILURES_MAX);
		assert_true(nth > 1);
	}
}

static int
begin(void **state)
{
	(void)state;
	base = event_base_new();
	good = unit_conf(text, NULL);
	return !base || !good;
}

static int
end(void **state)
{
	(void)state;
	conf_unref(good);
	event_base_free(base);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
