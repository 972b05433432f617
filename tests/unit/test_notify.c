/* What notify takes from the environment, and what it leaves there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/notify.h"

static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC",
	"WATCHDOG_PID" };

/* Opens with these values of the three; NULL: not set. */
static int
open_with(
    struct notify *n, const char *socket, const char *usec, const char *pid)
{
	const char *const values[] = { socket, usec, pid };
	int err;

	for (size_t i = 0; i < 3; i++)
		if (values[i])
			setenv(names[i], values[i], 1);
		else
			unsetenv(names[i]);
	err = notify_open(n);
	for (size_t i = 0; i < 3; i++)
		assert_null(getenv(names[i]));
	return err;
}

static void
test_nobody(void **state)
{
	struct notify n;

	(void)state;
	assert_int_equal(open_with(&n, NULL, "1000000", NULL), 0);
	assert_int_equal(n.fd, -1);
	assert_int_equal(n.watchdog_ms, 0);
	notify_send(&n, "READY=1");
	notify_close(&n);
}

static void
test_watchdog(void **state)
{
	static const struct {
		const char *usec, *pid; /* pid "me": our own */
		int64_t ms;
	} rows[] = {
		{ "3000000", NULL, 3000 },
		{ "3000000", "me", 3000 },
		{ "3000000", "1", 0 },
		{ NULL, "me", 0 },
		{ "", NULL, 0 },
		{ "0", NULL, 0 },
		{ "-3000000", NULL, 0 },
		{ "3s", NULL, 0 },
		{ "99999999999999999999", NULL, 0 },
	};
	char me[16];

	(void)state;
	snprintf(me, sizeof(me), "%d", (int)getpid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *pid = rows[i].pid;
		struct notify n;

		if (pid && !strcmp(pid, "me"))
			pid = me;
		assert_int_equal(open_with(&n, "@x", rows[i].usec, pid), 0);
		assert_int_equal(n.watchdog_ms, rows[i].ms);
		notify_close(&n);
	}
}

static void
test_socket(void **state)
{
	char longest[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	struct notify n;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(
	    open_with(&n, longest, "1000000", NULL), -ENAMETOOLONG);
	assert_int_equal(n.fd, -1);
	assert_int_equal(n.watchdog_ms, 0);
	longest[sizeof(longest) - 2] = '\0';
	assert_int_equal(open_with(&n, longest, NULL, NULL), 0);
	notify_close(&n);
	assert_int_equal(open_with(&n, "vsock:2:1", NULL, NULL), -EAFNOSUPPORT);
	notify_close(&n);
}

/* A datagram holds what a page would not; a longer one is cut. */
static void
test_send(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(a);
	char name[64], got[4096], text[2000];
	struct notify n;

	(void)state;
	/* No name: the kernel makes an abstract one, unix(7). */
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(name, sizeof(name), "@%.*s",
	    (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
	    a.sun_path + 1);
	assert_int_equal(open_with(&n, name, NULL, NULL), 0);
	notify_send(&n, "READY=%d\nSTATUS=%s", 1, "good");
	assert_int_equal(recv(fd, got, sizeof(got), 0), 19);
	assert_memory_equal(got, "READY=1\nSTATUS=good", 19);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	notify_send(&n, "STATUS=%s", text);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 1023);
	close(fd);
	notify_send(&n, "READY=1");
	notify_close(&n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
