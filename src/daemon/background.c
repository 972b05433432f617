#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
background_begin(struct background *b)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(fds[0]);
		close(fds[1]);
		return err;
	}
	b->parent = pid > 0;
	b->fd = fds[1];
	if (b->parent) {
		close(fds[1]);
		if (read(fds[0], &b->result, sizeof(b->result)) !=
		    sizeof(b->result))
			b->result = BACKGROUND_DIED;
	} else {
		setsid();
	}
	close(fds[0]);
	return 0;
}

void
background_ready(struct background *b, int result)
{
	ssize_t n;

	if (!result) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		for (int i = 0; null >= 0 && i < 3; i++)
			dup2(null, i);
		if (null > 2)
			close(null);
	}
	n = write(b->fd, &result, sizeof(result));
	(void)n;
	close(b->fd);
}
