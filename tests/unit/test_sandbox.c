/*
 * What the sandbox lets through and what it does not. Each case runs in a
 * child: there is no way back.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/privs.h"
#include "base/sandbox.h"

#define KILLED -1 /* in the place of an errno */
#define GOOD 0

static char folder[] = "/tmp/unatatp-sandbox-XXXXXX";
static char path[128];

/* Returns 0 or errno, which the parent sees. */
typedef int attempt_fn(void);

static int
result(long n)
{
	return n < 0 ? errno : 0;
}

static int
run_program(void)
{
	char name[] = "true", *const argv[] = { name, NULL };

	return result(execv("/bin/true", argv));
}

static int
trace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int
become_root(void)
{
	return result(syscall(SYS_setuid, 0));
}

static int
load_bpf(void)
{
	return result(syscall(SYS_bpf, -1, NULL, 0));
}

static int
fork_again(void)
{
	long pid = fork();

	if (!pid)
		_exit(0);
	return result(pid);
}

static int
read_file(void)
{
	return result(open(path, O_RDONLY));
}

static int
dial(void)
{
	return result(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

static int
sniff(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int
forge(void)
{
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
}

static int
change_routes(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int
map(int protection)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *p = mmap(NULL, 4096, protection, flags, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
map_plain(void)
{
	return map(PROT_READ | PROT_WRITE);
}

static int
map_code(void)
{
	return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int
map_library(void)
{
	return map(PROT_READ | PROT_EXEC);
}

static int
show_memory(void)
{
	return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static const struct {
	const char *name;
	attempt_fn *attempt;
	int worker, main; /* what comes of it: GOOD, KILLED or an errno */
} cases[] = {
	{ "run a program", run_program, KILLED, KILLED },
	{ "trace", trace, KILLED, KILLED },
	{ "become root", become_root, KILLED, KILLED },
	{ "load BPF", load_bpf, EPERM, EPERM },
	{ "fork", fork_again, ENOSYS, ENOSYS },
	{ "read a file", read_file, ENOSYS, GOOD },
	{ "dial", dial, GOOD, GOOD },
	{ "sniff", sniff, ENOSYS, ENOSYS },
	{ "forge packets", forge, ENOSYS, ENOSYS },
	{ "change routes", change_routes, ENOSYS, GOOD },
	{ "map memory", map_plain, GOOD, GOOD },
	{ "map code", map_code, ENOSYS, ENOSYS },
	{ "map a library", map_library, ENOSYS, GOOD },
	{ "show its memory", show_memory, ENOSYS, ENOSYS },
};

/* What ATTEMPT comes to in a child that LIMIT has limited. */
static int
attempt_in(int (*limit)(void), attempt_fn *attempt)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		privs_hide_memory(); /* no core of the killed */
		if (privs_gain_none() || limit())
			_exit(255);
		_exit(attempt());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return KILLED;
	}
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return WEXITSTATUS(status);
}

static int
limit_worker(void)
{
	return sandbox_limit_calls(SANDBOX_WORKER);
}

static int
limit_main(void)
{
	return sandbox_limit_calls(SANDBOX_MAIN);
}

static int
limit_root(void)
{
	return sandbox_limit_calls(SANDBOX_ROOT);
}

static void
test_calls(void **state)
{
	(void)state;
	if (sandbox_obstacle() || sandbox_calls_probe())
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int worker = attempt_in(limit_worker, cases[i].attempt);
		int daemon = attempt_in(limit_main, cases[i].attempt);

		if (worker != cases[i].worker || daemon != cases[i].main)
			fail_msg("%s: worker %d, main %d", cases[i].name,
			    worker, daemon);
	}
	/* Root's main may ask the kernel, which does not know call -1. */
	assert_int_equal(attempt_in(limit_root, load_bpf), EINVAL);
	assert_int_equal(attempt_in(limit_root, run_program), KILLED);
}

static int
limit_nothing(void)
{
	return sandbox_limit_files(NULL, 0);
}

static int
limit_reading(void)
{
	const struct sandbox_folder list[] = { { NULL, false },
		{ "/does/not/exist", false }, { folder, false } };

	return sandbox_limit_files(list, 3);
}

static int
limit_sockets(void)
{
	const struct sandbox_folder list[] = { { folder, true },
		{ "/dev/null", true } };

	return sandbox_limit_files(list, 2);
}

static int
read_elsewhere(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int
write_file(void)
{
	return result(open(path, O_WRONLY));
}

static int
make_file(void)
{
	char other[sizeof(path) + 8];

	snprintf(other, sizeof(other), "%s.new", path);
	return result(open(other, O_WRONLY | O_CREAT, 0600));
}

static int
make_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", folder);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)))
		return errno;
	return result(unlink(a.sun_path));
}

static void
test_files(void **state)
{
	static const struct {
		int (*limit)(void);
		attempt_fn *attempt;
		int wanted;
	} rows[] = {
		{ limit_nothing, read_file, EACCES },
		{ limit_nothing, read_elsewhere, EACCES },
		{ limit_nothing, make_socket, EACCES },
		{ limit_nothing, dial, GOOD },
		{ limit_reading, read_file, GOOD },
		{ limit_reading, read_elsewhere, EACCES },
		{ limit_reading, write_file, EACCES },
		{ limit_reading, make_file, EACCES },
		{ limit_reading, make_socket, EACCES },
		{ limit_sockets, read_file, GOOD },
		{ limit_sockets, make_file, EACCES },
		{ limit_sockets, make_socket, GOOD },
	};

	(void)state;
	if (sandbox_files_version() < 0) {
		assert_true(sandbox_limit_files(NULL, 0) < 0);
		skip();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int got = attempt_in(rows[i].limit, rows[i].attempt);

		if (got != rows[i].wanted)
			fail_msg("row %zu: %d instead of %d", i, got,
			    rows[i].wanted);
	}
	assert_false(sandbox_limits_files());
}

static int
make_folder(void **state)
{
	int fd;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	return fd < 0 ? -1 : close(fd);
}

static int
remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
