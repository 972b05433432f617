/*
 * inject: preloaded into the program, fails the calls that a test asks for.
 * A page that both map (FAULT_PAGE names its file) has a row for each call:
 * how often it was made, and which of the next ones fail with which errno.
 * CLOCK_REALTIME can be set apart from the other clocks, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

extern char *program_invocation_short_name;

/* As test_inject.py reads it: "=16sqqqq". */
struct row {
	char name[16];
	_Atomic int64_t calls; /* so far */
	_Atomic int64_t from;  /* the first one that fails; 0: none */
	_Atomic int64_t until; /* the first one after it that does not */
	_Atomic int64_t error; /* its errno */
};

struct page {
	_Atomic int64_t hits;
	_Atomic int64_t spared;	   /* allocations of who cannot bear it */
	_Atomic int64_t clock_add; /* seconds that CLOCK_REALTIME is ahead */
	_Atomic int64_t clock_reads;
	_Atomic int64_t live; /* blocks of memory in use */
	struct row rows[64];
};

static struct page *page;
static int is_traced; /* FAULT_TRACE: says where calls fail, and crashes */

/* clang-format off */
#define CALLS(X) \
	X(int, accept4, (int fd, struct sockaddr *a, socklen_t *len, int flags), (fd, a, len, flags)) \
	X(int, accept, (int fd, struct sockaddr *a, socklen_t *len), (fd, a, len)) \
	X(int, access, (const char *path, int mode), (path, mode)) \
	X(int, bind, (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len)) \
	X(int, chmod, (const char *path, mode_t mode), (path, mode)) \
	X(int, lchown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid)) \
	X(int, connect, (int fd, const struct sockaddr *a, socklen_t len), (fd, a, len)) \
	X(int, dup2, (int fd, int to), (fd, to)) \
	X(int, dup3, (int fd, int to, int flags), (fd, to, flags)) \
	X(int, epoll_create1, (int flags), (flags)) \
	X(int, epoll_ctl, (int fd, int op, int on, struct epoll_event *e), (fd, op, on, e)) \
	X(int, epoll_wait, (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms)) \
	X(int, eventfd, (unsigned n, int flags), (n, flags)) \
	X(int, fstat, (int fd, struct stat *st), (fd, st)) \
	X(int, getifaddrs, (struct ifaddrs **list), (list)) \
	X(ssize_t, getrandom, (void *to, size_t n, unsigned flags), (to, n, flags)) \
	X(int, getsockname, (int fd, struct sockaddr *a, socklen_t *len), (fd, a, len)) \
	X(int, getsockopt, (int fd, int level, int name, void *v, socklen_t *len), (fd, level, name, v, len)) \
	X(int, listen, (int fd, int n), (fd, n)) \
	X(int, lstat, (const char *path, struct stat *st), (path, st)) \
	X(int, mkdir, (const char *path, mode_t mode), (path, mode)) \
	X(int, pipe2, (int fds[2], int flags), (fds, flags)) \
	X(ssize_t, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at)) \
	X(ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at)) \
	X(ssize_t, read, (int fd, void *to, size_t n), (fd, to, n)) \
	X(ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n)) \
	X(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags)) \
	X(ssize_t, recvfrom, (int fd, void *restrict to, size_t n, int flags, struct sockaddr *restrict a, socklen_t *restrict len), (fd, to, n, flags, a, len)) \
	X(ssize_t, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags)) \
	X(ssize_t, sendto, (int fd, const void *from, size_t n, int flags, const struct sockaddr *a, socklen_t len), (fd, from, n, flags, a, len)) \
	X(int, setsockopt, (int fd, int level, int name, const void *v, socklen_t len), (fd, level, name, v, len)) \
	X(int, shutdown, (int fd, int how), (fd, how)) \
	X(int, sockatmark, (int fd), (fd)) \
	X(int, socket, (int family, int type, int protocol), (family, type, protocol)) \
	X(int, socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds)) \
	X(ssize_t, splice, (int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags), (in, in_at, out, out_at, n, flags)) \
	X(int, stat, (const char *restrict path, struct stat *restrict st), (path, st)) \
	X(int, timerfd_create, (int clock, int flags), (clock, flags)) \
	X(int, timerfd_settime, (int fd, int flags, const struct itimerspec *to, struct itimerspec *old), (fd, flags, to, old)) \
	X(int, unlink, (const char *path), (path)) \
	X(ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n)) \
	X(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))

/* Those that need a hand of their own. */
#define OTHERS(X) \
	X(close) X(fcntl) X(ioctl) X(open) X(pthread_create) X(malloc)
/* clang-format on */

enum call {
#define X(type, name, params, args) CALL_##name,
	CALLS(X)
#undef X
#define X(name) CALL_##name,
	    OTHERS(X)
#undef X
		CALL_COUNT
};

static const char *const names[] = {
#define X(type, name, params, args) #name,
	CALLS(X)
#undef X
#define X(name) #name,
	    OTHERS(X)
#undef X
};

_Static_assert(CALL_COUNT <= 64, "the page has no room for so many");

static void
trace(void)
{
	void *frames[32];

	backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
}

static void
on_crash(int number)
{
	trace();
	signal(number, SIG_DFL);
	raise(number);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAULT_PAGE");
	struct page *p;
	int fd;

	if (!path || strcmp(program_invocation_short_name, "unatatp"))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		abort();
	for (int i = 0; i < CALL_COUNT; i++)
		strcpy(p->rows[i].name, names[i]);
	is_traced = !!getenv("FAULT_TRACE");
	if (is_traced) {
		trace(); /* loads what it needs, before memory fails */
		signal(SIGSEGV, on_crash);
		signal(SIGABRT, on_crash);
	}
	page = p;
}

/* True when this call is to fail; errno is set. */
static int
fails(enum call call)
{
	struct row *row;
	int64_t n;

	if (!page)
		return 0;
	row = &page->rows[call];
	n = atomic_fetch_add(&row->calls, 1) + 1;
	if (!row->from || n < row->from || n >= row->until)
		return 0;
	atomic_fetch_add(&page->hits, 1);
	if (is_traced)
		trace();
	errno = (int)row->error;
	return 1;
}

#define REAL(name)                 \
	static typeof(name) *real; \
	if (!real)                 \
	real = (typeof(name) *)dlsym(RTLD_NEXT, #name)

#define X(type, name, params, args)      \
	type name params                 \
	{                                \
		REAL(name);              \
		if (fails(CALL_##name))  \
			return (type)-1; \
		return real args;        \
	}
CALLS(X)
#undef X

/* Linux closes the descriptor whatever it says: close(2). */
int
close(int fd)
{
	REAL(close);
	int result = real(fd);

	return fails(CALL_close) ? -1 : result;
}

#define LAST_ARGUMENT(type, after) \
	va_list ap;                \
	type last;                 \
	va_start(ap, after);       \
	last = va_arg(ap, type);   \
	va_end(ap)

int
open(const char *path, int flags, ...)
{
	REAL(open);
	LAST_ARGUMENT(int, flags);

	return fails(CALL_open) ? -1 : real(path, flags, last);
}

int
fcntl(int fd, int what, ...)
{
	REAL(fcntl);
	LAST_ARGUMENT(long, what);

	return fails(CALL_fcntl) ? -1 : real(fd, what, last);
}

int
ioctl(int fd, unsigned long what, ...)
{
	REAL(ioctl);
	LAST_ARGUMENT(void *, what);

	return fails(CALL_ioctl) ? -1 : real(fd, what, last);
}

int
pthread_create(pthread_t *thread, const pthread_attr_t *attr,
    void *(*run)(void *), void *arg)
{
	REAL(pthread_create);

	return fails(CALL_pthread_create) ? errno
					  : real(thread, attr, run, arg);
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	REAL(clock_gettime);
	int result = real(clock, ts);

	if (page && clock == CLOCK_REALTIME) {
		atomic_fetch_add(&page->clock_reads, 1);
		ts->tv_sec += page->clock_add;
	}
	return result;
}

time_t
time(time_t *at)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (at)
		*at = ts.tv_sec;
	return ts.tv_sec;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ ts.tv_sec, ts.tv_nsec / 1000 };
	return 0;
}

/* --- memory --------------------------------------------------------- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t n);
extern void __libc_free(void *block);

/*
 * Libraries that do not look whether memory was there, so that nothing that
 * is ours can be done about it. A function, or NULL for all of them.
 */
static const struct {
	const char *library, *function;
} careless[] = {
	{ "libconfig", NULL },
	/* bufferevent_socket_new, of libevent 2.1 */
	{ "libevent", "evbuffer_add_cb" },
	/* evhttp: crashes by itself in evhttp_request_new and others */
	{ "libevent_extra", NULL },
	/* 2.5: loads a filter that is cut short, which kills the thread */
	{ "libseccomp", NULL },
};

static int
is_careless(void *caller)
{
	Dl_info info;

	if (!dladdr(caller, &info))
		return 0;
	for (size_t i = 0; i < sizeof(careless) / sizeof(*careless); i++)
		if (strstr(info.dli_fname, careless[i].library) &&
		    (!careless[i].function ||
			(info.dli_sname &&
			    !strcmp(info.dli_sname, careless[i].function))))
			return 1;
	return 0;
}

/* The user database of glibc 2.36 crashes by itself when it is first asked. */
static __thread int asks_nss;

#define ASKS_NSS(type, name)          \
	type *name(const char *which) \
	{                             \
		type *found;          \
		REAL(name);           \
		asks_nss = 1;         \
		found = real(which);  \
		asks_nss = 0;         \
		return found;         \
	}

ASKS_NSS(struct passwd, getpwnam)
ASKS_NSS(struct group, getgrnam)

static int
lacks_memory(void *caller)
{
	if (!page)
		return 0;
	if (asks_nss || is_careless(caller)) {
		atomic_fetch_add(&page->spared, 1);
		return 0;
	}
	return fails(CALL_malloc);
}

#define CALLER __builtin_return_address(0)

static void *
counted(void *block)
{
	if (page && block)
		atomic_fetch_add(&page->live, 1);
	return block;
}

void *
malloc(size_t n)
{
	return lacks_memory(CALLER) ? NULL : counted(__libc_malloc(n));
}

void *
calloc(size_t n, size_t size)
{
	return lacks_memory(CALLER) ? NULL : counted(__libc_calloc(n, size));
}

void *
realloc(void *old, size_t n)
{
	void *block;

	if (lacks_memory(CALLER))
		return NULL;
	block = __libc_realloc(old, n);
	return old ? block : counted(block);
}

void
free(void *block)
{
	if (page && block)
		atomic_fetch_sub(&page->live, 1);
	__libc_free(block);
}

static char *
copy(const char *text, void *caller)
{
	size_t n = strlen(text) + 1;
	char *to = lacks_memory(caller) ? NULL : counted(__libc_malloc(n));

	return to ? memcpy(to, text, n) : NULL;
}

char *
strdup(const char *text)
{
	return copy(text, CALLER);
}

char *
__strdup(const char *text)
{
	return copy(text, CALLER);
}
