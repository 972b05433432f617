#include "base/sock_unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sock.h"

#define BACKLOG 16

typedef int attach_fn(int fd, const struct sockaddr *a, socklen_t len);

/* connect(2), too, waits no longer: where the backlog is full, unix(7). */
static void
set_patience(int fd, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/*
 * A socket that ATTACH, bind(2) or connect(2), has put at PATH. Calls on it
 * wait PATIENCE_MS at most; 0: for ever.
 */
static int
open_at(const char *path, int flags, int patience_ms, attach_fn *attach)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int err, fd;

	if (strlen(path) >= SOCK_PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -errno;
	set_patience(fd, patience_ms);
	if (!attach(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Makes room at PATH. -EADDRINUSE, with HOLDER: somebody listens there. */
static int
clear_path(const char *path, pid_t *holder)
{
	struct stat st;
	uid_t uid;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = open_at(path, SOCK_NONBLOCK, 0, connect);
	if (fd == -ECONNREFUSED)
		return unlink(path) && errno != ENOENT ? -errno : 0;
	if (fd == -EAGAIN) /* its backlog is full */
		return -EADDRINUSE;
	if (fd < 0)
		return fd;
	if (sock_unix_peer(fd, &uid, holder))
		*holder = 0;
	close(fd);
	return -EADDRINUSE;
}

int
sock_unix_listen(const char *path, mode_t mode, pid_t *holder)
{
	int err, fd;
	mode_t mask;

	*holder = 0;
	err = clear_path(path, holder);
	if (err)
		return err;
	/* bind(2) makes the file: its permissions are right from the start. */
	mask = umask(0777 & ~mode);
	fd = open_at(path, SOCK_NONBLOCK, 0, bind);
	umask(mask);
	if (fd < 0)
		return fd;
	if (!listen(fd, BACKLOG))
		return fd;
	err = -errno;
	close(fd);
	unlink(path);
	return err;
}

int
sock_unix_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int
sock_unix_connect(const char *path, int timeout_ms)
{
	return open_at(path, 0, timeout_ms, connect);
}

int
sock_unix_peer(int fd, uid_t *uid, pid_t *pid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len))
		return -errno;
	*uid = who.uid;
	*pid = who.pid;
	return 0;
}
