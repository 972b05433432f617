#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define LONGEST_MS 30000

/* Where system programs are when the caller's PATH does not say so. */
#define SYSTEM_PATH "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

enum { IN, OUT, ERR, STREAMS };

struct child {
	pid_t pid;
	int fds[STREAMS]; /* our ends; -1: closed */
	const char *input;
	FILE *kept[STREAMS]; /* what came out; NULL for IN */
};

/* In the child: never returns. */
static void
become(const char *const argv[], int ends[STREAMS][2])
{
	const char *path = getenv("PATH");
	char *longer;

	for (int i = 0; i < STREAMS; i++)
		if (dup2(ends[i][i == IN ? 0 : 1], i) < 0)
			_exit(127);
	if (asprintf(&longer, "%s%s" SYSTEM_PATH, path ? path : "",
		path && *path ? ":" : "") > 0)
		setenv("PATH", longer, 1);
	setenv("LC_ALL", "C", 1);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Pipes that no further child inherits; -1 in all when there are none. */
static int
make_pipes(int ends[STREAMS][2])
{
	for (int i = 0; i < STREAMS; i++)
		if (pipe2(ends[i], O_CLOEXEC))
			return -errno;
	return 0;
}

static int
start(struct child *c, const char *const argv[])
{
	int ends[STREAMS][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int err = make_pipes(ends);

	if (!err) {
		c->pid = fork();
		if (c->pid == 0)
			become(argv, ends);
		if (c->pid < 0)
			err = -errno;
	}
	for (int i = 0; i < STREAMS; i++) {
		int *ours = &ends[i][i == IN ? 1 : 0];

		close_end(&ends[i][i == IN ? 0 : 1]);
		if (err)
			close_end(ours);
		else
			fcntl(*ours, F_SETFL, O_NONBLOCK);
		c->fds[i] = *ours;
	}
	return err;
}

static void
feed(struct child *c)
{
	ssize_t n = write(c->fds[IN], c->input, strlen(c->input));

	if (n > 0)
		c->input += n;
	if (!*c->input || (n < 0 && errno != EAGAIN))
		close_end(&c->fds[IN]);
}

static void
drain(struct child *c, int stream)
{
	char piece[4096];
	ssize_t n = read(c->fds[stream], piece, sizeof(piece));

	if (n > 0)
		fwrite(piece, 1, (size_t)n, c->kept[stream]);
	else if (n == 0 || errno != EAGAIN)
		close_end(&c->fds[stream]);
}

/* Until its outputs are closed. 0 or -ETIMEDOUT. */
static int
talk(struct child *c)
{
	int64_t end = clock_ms() + LONGEST_MS;

	while (c->fds[OUT] >= 0 || c->fds[ERR] >= 0) {
		struct pollfd p[STREAMS] = {
			{ .fd = c->fds[IN], .events = POLLOUT },
			{ .fd = c->fds[OUT], .events = POLLIN },
			{ .fd = c->fds[ERR], .events = POLLIN },
		};
		int64_t left = end - clock_ms();

		if (left <= 0 || poll(p, STREAMS, (int)left) == 0)
			return -ETIMEDOUT;
		if (p[IN].revents)
			feed(c);
		if (p[OUT].revents)
			drain(c, OUT);
		if (p[ERR].revents)
			drain(c, ERR);
	}
	return 0;
}

static int
reap(struct child *c)
{
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* The pipe's reader may end early: that is no reason for us to. */
static int
run(struct child *c, const char *const argv[], struct spawn_result *result)
{
	void (*old)(int) = signal(SIGPIPE, SIG_IGN);
	int err = start(c, argv);

	if (!err) {
		if (!*c->input)
			close_end(&c->fds[IN]);
		err = talk(c);
		if (err)
			kill(c->pid, SIGKILL);
		for (int i = 0; i < STREAMS; i++)
			close_end(&c->fds[i]);
		result->status = reap(c);
	}
	signal(SIGPIPE, old);
	return err;
}

int
spawn_run(
    const char *const argv[], const char *input, struct spawn_result *result)
{
	struct child c = { .input = input ? input : "" };
	size_t n_out, n_err;
	int err;

	*result = (struct spawn_result){ 0 };
	c.kept[OUT] = open_memstream(&result->out, &n_out);
	c.kept[ERR] = open_memstream(&result->err, &n_err);
	err = c.kept[OUT] && c.kept[ERR] ? run(&c, argv, result) : -ENOMEM;
	for (int i = OUT; i < STREAMS; i++)
		if (c.kept[i] && fclose(c.kept[i]))
			err = -ENOMEM;
	if (!err && result->status == 127 && !*result->err)
		err = -ENOENT;
	if (err) {
		spawn_clear(result);
		return err;
	}
	if (n_err && result->err[n_err - 1] == '\n')
		result->err[n_err - 1] = '\0';
	return 0;
}

const char *
spawn_error(int err)
{
	return err == -ETIMEDOUT ? "it did not end, and was killed"
				 : strerror(-err);
}

void
spawn_clear(struct spawn_result *result)
{
	free(result->out);
	free(result->err);
	*result = (struct spawn_result){ 0 };
}
