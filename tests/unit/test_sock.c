/*
 * A receive buffer that is bounded, with and without privilege; and what the
 * kernel refuses is handed on.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sock.h"
#include "base/sock_unix.h"

#define NOBODY 65534
#define WANTED (1u << 30) /* more than any net.core.rmem_max */

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

static int
get(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, SOL_SOCKET, option, &value, &len);
	return value;
}

static void
test_bound(void **state)
{
	int fd = sock_stream(AF_INET);

	(void)state;
	assert_int_equal(sock_bound_receive(fd, 65536, 65536), 0);
	assert_int_equal(get(fd, SO_RCVBUF), 65536);
	assert_int_equal(sock_release_receive(fd), 0);
	close(fd);
}

/* What a child says: 0, or which of its findings was wrong. */
static int
try_without_privilege(void)
{
	int fd = sock_stream(AF_INET);

	if (getuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	if (sock_bound_receive(fd, 4096, 4096))
		return 2;
	if (sock_bound_receive(fd, WANTED, WANTED) != -EPERM)
		return 3;
	return get(fd, SO_BUF_LOCK) ? 4 : 0;
}

/* The little that is granted would cost throughput: the kernel tunes. */
static void
test_without_privilege(void **state)
{
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(try_without_privilege());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- refusals -------------------------------------------------------- */

static int
bound_unsent(int fd)
{
	return sock_bound_unsent(fd, 4096);
}

static int
bound_receive(int fd)
{
	return sock_bound_receive(fd, 4096, 4096);
}

static int
congestion(int fd)
{
	return sock_set_congestion(fd, "reno");
}

static int
prepare(int fd)
{
	return sock_prepare(fd, AF_INET, &sock_options_none);
}

static int
peer_of(int fd)
{
	uid_t uid;
	pid_t pid;

	return sock_unix_peer(fd, &uid, &pid);
}

static int
apply(int fd)
{
	struct sock_options want;

	memset(&want, 1, sizeof(want));
	return sock_apply(fd, AF_INET, &want, &sock_options_none);
}

static int
unacked(int fd)
{
	return (int)(sock_unacked(fd) + sock_unread(fd));
}

/* What each says of a UNIX socket, and of what is no socket at all. */
static const struct {
	const char *name;
	int (*call)(int fd);
	int unix_socket, pipe;
} refusals[] = {
	{ "bound_unsent", bound_unsent, -EOPNOTSUPP, -ENOTSOCK },
	{ "bound_receive", bound_receive, -EOPNOTSUPP, -ENOTSOCK },
	{ "release_receive", sock_release_receive, 0, -ENOTSOCK },
	{ "congestion", congestion, -EOPNOTSUPP, -ENOTSOCK },
	{ "prepare", prepare, -EOPNOTSUPP, -ENOTSOCK },
	{ "apply", apply, -EOPNOTSUPP, -ENOTSOCK },
	{ "peer_of", peer_of, 0, -ENOTSOCK },
	{ "accept", sock_unix_accept, -EINVAL, -ENOTSOCK },
	{ "connect_result", sock_connect_result, 0, -ENOTSOCK },
	{ "unacked", unacked, 0, 0 },
};

static void
test_refusals(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), fds[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pipe(fds), 0);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		int got = refusals[i].call(fd);

		if (got != refusals[i].unix_socket)
			fail_msg("%s: %d", refusals[i].name, got);
		got = refusals[i].call(fds[0]);
		if (got != refusals[i].pipe)
			fail_msg("%s of a pipe: %d", refusals[i].name, got);
	}
	close(fds[0]);
	close(fds[1]);
	close(fd);
}

/* A name that does not fit is no name of something else. */
static void
test_long_name(void **state)
{
	char path[SOCK_PATH_MAX + 1];
	pid_t holder;

	(void)state;
	memset(path, 'x', SOCK_PATH_MAX);
	path[SOCK_PATH_MAX] = '\0';
	assert_int_equal(sock_unix_connect(path, 0), -ENAMETOOLONG);
	assert_int_equal(sock_unix_listen(path, 0600, &holder), -ENAMETOOLONG);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_without_privilege),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
