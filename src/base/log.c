#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* A sink knows how to write one line without ever waiting. */
struct sink {
	int (*write_line)(int fd, enum log_level level, const char *text);
	int fd;
};

static int to_stderr(int fd, enum log_level level, const char *text);

static struct sink sink = { to_stderr, STDERR_FILENO };
static bool stderr_is_socket, stderr_is_journal;
static _Thread_local struct {
	void (*fn)(void *arg, enum log_level level, const char *line);
	void *arg;
} tap;
static _Atomic int threshold = LOG_LEVEL_INFO;
static _Atomic int64_t token_cost_ns; /* 0: no limit */
static _Atomic int64_t bucket_ns;     /* when the bucket is full again */
static _Atomic uint64_t suppressed;

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
to_stderr(int fd, enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX + 8];
	int n;

	/* The journal reads a "<N>" prefix as priority: sd-daemon(3). */
	if (stderr_is_journal)
		n = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
	else
		n = snprintf(line, sizeof(line), "%s\n", text);
	if (stderr_is_socket)
		return (int)send(
		    fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return (int)write(fd, line, (size_t)n);
}

static int
syslog_open(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX,
		.sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* syslog(3) waits when its socket is full; this loses the line instead. */
static int
to_syslog(int fd, enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX + 64], stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	ssize_t n;
	int len;

	strftime(stamp, sizeof(stamp), "%b %e %T", localtime_r(&now, &tm));
	len = snprintf(line, sizeof(line), "<%d>%s unatatp[%d]: %s",
	    LOG_DAEMON | (int)level, stamp, (int)getpid(), text);
	n = send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		/* The syslog daemon was restarted: find the new one. */
		int fresh = syslog_open();

		if (fresh < 0)
			return -1;
		dup3(fresh, fd, O_CLOEXEC);
		close(fresh);
		n = send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return (int)n;
}

/* True when JOURNAL_STREAM names the very file that stderr is. */
static bool
is_journal(const struct stat *st)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;

	return env && sscanf(env, "%llu:%llu", &dev, &ino) == 2 &&
	    st->st_dev == dev && st->st_ino == ino;
}

/*
 * A descriptor of stderr that never blocks. O_NONBLOCK belongs to the
 * open file, which the shell and others share, so open it anew.
 */
static int
stderr_open(void)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDERR_FILENO, &st))
		return STDERR_FILENO;
	stderr_is_socket = S_ISSOCK(st.st_mode);
	stderr_is_journal = is_journal(&st);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		fd = open("/proc/self/fd/2",
		    O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? STDERR_FILENO : fd;
}

void
log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

/*
 * Without a syslog daemon the lines are lost until there is one; a daemon
 * must not hold on to the terminal that it has left.
 */
static struct sink
syslog_sink(bool background)
{
	int fd = syslog_open();

	if (fd < 0)
		log_warning(
		    "cannot log to syslog: /dev/log: %s", strerror(errno));
	if (fd < 0 && background)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? sink : (struct sink){ to_syslog, fd };
}

void
log_set(enum log_target target, bool background)
{
	struct sink old = sink;

	if (target == LOG_TARGET_AUTO)
		target = background ? LOG_TARGET_SYSLOG : LOG_TARGET_STDERR;
	if (target == LOG_TARGET_SYSLOG)
		sink = syslog_sink(background);
	else if (sink.fd == STDERR_FILENO)
		sink = (struct sink){ to_stderr, stderr_open() };
	if (old.fd != sink.fd && old.fd != STDERR_FILENO)
		close(old.fd);
}

void
log_tee(
    void (*fn)(void *arg, enum log_level level, const char *line), void *arg)
{
	tap.fn = fn;
	tap.arg = arg;
}

void
log_set_rate(unsigned max_per_second)
{
	atomic_store(&token_cost_ns,
	    max_per_second ? 1000000000 / (int64_t)max_per_second : 0);
}

bool
log_enabled(enum log_level level)
{
	return (int)level <=
	    atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool
log_allow(enum log_level level)
{
	int64_t cost =
	    atomic_load_explicit(&token_cost_ns, memory_order_relaxed);
	int64_t now, full, want;

	if (!log_enabled(level))
		return false;
	if (!cost)
		return true;
	/* The bucket holds one second's tokens; a token costs `cost`. */
	now = now_ns();
	full = atomic_load_explicit(&bucket_ns, memory_order_relaxed);
	do {
		want = (full > now ? full : now) + cost;
		if (want - now > 1000000000) {
			atomic_fetch_add_explicit(
			    &suppressed, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&bucket_ns, &full, want));
	return true;
}

static void
emit(enum log_level level, const char *text)
{
	if (sink.write_line(sink.fd, level, text) < 0)
		atomic_fetch_add_explicit(&suppressed, 1, memory_order_relaxed);
}

void
log_line(enum log_level level, const char *format, ...)
{
	bool told = tap.fn && level <= LOG_LEVEL_WARNING;
	char text[LOG_LINE_MAX];
	uint64_t lost;
	va_list ap;

	if (told) {
		va_start(ap, format);
		vsnprintf(text, sizeof(text), format, ap);
		va_end(ap);
		tap.fn(tap.arg, level, text);
	}
	if (!log_enabled(level))
		return;
	lost = atomic_exchange(&suppressed, 0);
	if (lost) {
		snprintf(text, sizeof(text), "log suppressed=%llu",
		    (unsigned long long)lost);
		if (sink.write_line(sink.fd, LOG_LEVEL_WARNING, text) < 0) {
			/* Nor would the line itself get through. */
			atomic_fetch_add(&suppressed, lost + 1);
			return;
		}
	}
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	emit(level, text);
}
