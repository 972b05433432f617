/* A receive buffer that is bounded, with and without privilege. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sock.h"

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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_without_privilege),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
