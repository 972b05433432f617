#include "gateway/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"

/* The bytes that are locked: by an operation, and by the guardian's life. */
enum { OPERATION, GUARDIAN };

#define LOOK_MS 200 /* how soon a guardian sees that it was relieved */
#define TRIES 20    /* to take back, LOOK_MS apart */

/* Who guards, and until when. */
#define RECORD "%10d %20" PRId64 "\n"
#define RECORD_LEN 32

/* Of the open file, not of the process: a fork does not lose them. */
static int
lock(int fd, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	while (fcntl(fd, F_OFD_SETLKW, &l))
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void
unlock(int fd, int byte)
{
	struct flock l = { .l_type = F_UNLCK, .l_start = byte, .l_len = 1 };

	fcntl(fd, F_OFD_SETLK, &l);
}

/* Whether somebody else has this lock. */
static bool
is_locked(int fd, int byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	return !fcntl(fd, F_OFD_GETLK, &l) && l.l_type != F_UNLCK;
}

static void
read_guardian(struct pending *p)
{
	char text[RECORD_LEN + 1] = "";
	ssize_t n = pread(p->fd, text, sizeof(text) - 1, 0);
	int pid;

	p->guardian = 0;
	if (n > 0 && sscanf(text, "%d %" SCNd64, &pid, &p->deadline) == 2)
		p->guardian = pid;
}

/* Namespaces share /run; each has a number. */
static int
open_file(struct pending *p, int flags)
{
	struct stat ns;

	p->fd = -1;
	if (stat("/proc/thread-self/ns/net", &ns))
		return -errno;
	snprintf(p->path, sizeof(p->path), "/run/unatatp.firewall.%ju",
	    (uintmax_t)ns.st_ino);
	p->fd = open(p->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	return p->fd < 0 ? -errno : 0;
}

/* The one before us may have removed the file while we waited. */
static bool
is_current(const struct pending *p)
{
	struct stat ours, there;

	return !fstat(p->fd, &ours) && !stat(p->path, &there) &&
	    ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

int
pending_begin(struct pending *p)
{
	bool current = false;

	*p = (struct pending){ .fd = -1 };
	while (!current) {
		int err = open_file(p, O_CREAT);

		if (err)
			return err;
		err = lock(p->fd, OPERATION);
		current = is_current(p);
		if (err || !current)
			close(p->fd);
		if (err)
			return err;
	}
	read_guardian(p);
	if (!is_locked(p->fd, GUARDIAN))
		p->guardian = 0;
	return 0;
}

/*
 * Every record is as long as another: it takes the place of the last one
 * also where /run has no room left.
 */
static int
write_guardian(const struct pending *p)
{
	char text[RECORD_LEN + 1];
	int len =
	    snprintf(text, sizeof(text), RECORD, (int)p->guardian, p->deadline);
	ssize_t n = pwrite(p->fd, text, (size_t)len, 0);

	if (n < 0)
		return -errno;
	return n == len ? 0 : -ENOSPC;
}

int
pending_end(struct pending *p)
{
	int err = 0;

	if (p->guardian)
		err = write_guardian(p);
	else if (ftruncate(p->fd, 0)) /* what relieves the guardian */
		err = -errno;
	if (!p->guardian)
		unlink(p->path);
	unlock(p->fd, OPERATION);
	close(p->fd);
	return err;
}

int64_t
pending_left(void)
{
	struct pending p;
	int64_t left = -1;

	if (open_file(&p, 0))
		return -1;
	read_guardian(&p);
	if (p.guardian && is_locked(p.fd, GUARDIAN))
		left = p.deadline > clock_ms() ? p.deadline - clock_ms() : 0;
	close(p.fd);
	return left;
}

/* --- the guardian -------------------------------------------------- */

#define FDS_MAX 1024 /* nobody hands a command more of them */

/* A logout may end all processes of its session: KillUserProcesses. */
static void
leave_session(void)
{
	static const char *const groups[] = { "/sys/fs/cgroup/cgroup.procs",
		"/sys/fs/cgroup/systemd/cgroup.procs" };
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
		SIGPIPE };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	setsid();
	for (int i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	for (size_t i = 0; i < 2; i++) {
		int fd = open(groups[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		dprintf(fd, "%d\n", (int)getpid());
		close(fd);
	}
	if (chdir("/")) /* it is always there */
		return;
}

/*
 * Until it is time to take everything back: true, with the operation's
 * lock. False when relieved.
 */
static bool
watch(struct pending *p)
{
	pid_t self = getpid();

	for (;;) {
		int64_t left;

		read_guardian(p);
		if (p->guardian != self)
			return false;
		left = p->deadline - clock_ms();
		if (left > 0) {
			poll(NULL, 0, left < LOOK_MS ? (int)left : LOOK_MS);
			continue;
		}
		if (lock(p->fd, OPERATION))
			return true;
		/* Who had the lock may have given us more time. */
		read_guardian(p);
		if (p->guardian == self && p->deadline <= clock_ms())
			return true;
		unlock(p->fd, OPERATION);
	}
}

static void
guard(struct pending *p, int verdict, int (*take_back)(void *arg), void *arg)
{
	char byte;
	bool finished = read(verdict, &byte, 1) == 1;
	int err = -EIO;

	openlog("unatatp", LOG_PID, LOG_DAEMON);
	if (finished && !watch(p))
		return;
	if (!finished && lock(p->fd, OPERATION))
		return;
	syslog(LOG_WARNING, "firewall: %s: taking everything back",
	    finished ? "no confirm has come" : "\"up\" did not end well");
	for (int i = 0; err && i < TRIES; i++) {
		if (i)
			poll(NULL, 0, LOOK_MS);
		err = take_back(arg);
	}
	if (err)
		syslog(LOG_ERR, "firewall: it could not be taken back: %s",
		    strerror(-err));
	p->guardian = 0;
	if (pending_end(p))
		syslog(LOG_WARNING, "firewall: %s is left behind", p->path);
}

/*
 * Not all C libraries have close_range(2); nor has Linux before 5.9. What
 * stayed open would keep the lock of the operation that began all this.
 */
static void
close_between(int low, int high)
{
	if (high <= low + 1)
		return;
	if (!syscall(SYS_close_range, low + 1, high - 1, 0))
		return;
	for (int fd = low + 1; fd < high && fd < FDS_MAX; fd++)
		close(fd);
}

/* In the child's child, with nothing open but what it needs. */
static void
become_guardian(int ready, int verdict, int (*take_back)(void *arg), void *arg)
{
	struct pending p;
	pid_t pid = getpid();
	int low = ready < verdict ? ready : verdict;
	int high = ready < verdict ? verdict : ready;

	leave_session();
	close_between(2, low);
	close_between(low, high);
	close_between(high, INT_MAX);
	if (open_file(&p, 0) || lock(p.fd, GUARDIAN) ||
	    write(ready, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	close(ready);
	guard(&p, verdict, take_back, arg);
	_exit(0);
}

int
pending_guard(struct pending *p, int (*take_back)(void *arg), void *arg)
{
	int ready[2], verdict[2];
	pid_t child;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	if (pipe2(verdict, O_CLOEXEC)) {
		close(ready[0]);
		close(ready[1]);
		return -ENFILE;
	}
	child = fork();
	if (child == 0) {
		if (fork() == 0) {
			close(verdict[1]);
			become_guardian(ready[1], verdict[0], take_back, arg);
		}
		_exit(0);
	}
	close(ready[1]);
	close(verdict[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	if (read(ready[0], &p->guardian, sizeof(p->guardian)) !=
	    sizeof(p->guardian)) {
		p->guardian = 0;
		close(verdict[1]);
		verdict[1] = -EAGAIN;
	}
	close(ready[0]);
	return verdict[1];
}
