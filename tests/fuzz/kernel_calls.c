/* What the relay calls, in the place of libc, libevent and sock. */
#include <errno.h>
#include <event2/buffer.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "fuzz.h"
#include "kernel.h"

#define CHUNK 4096

/* A stream repeats itself, out of step with all that is a power of two. */
#define PERIOD 65521
#define STREAM_PART 65536

static struct kernel_sock *
other(const struct kernel_sock *s)
{
	return &kernel.socks[s == &kernel.socks[0]];
}

static unsigned char streams[2][PERIOD + STREAM_PART];

static void
make_stream(unsigned char *bytes, uint32_t x)
{
	for (size_t k = 0; k < PERIOD + STREAM_PART; k++) {
		x = x * 1664525 + 1013904223;
		bytes[k] = k < PERIOD ? x >> 24 : bytes[k - PERIOD];
	}
}

/* What arrives at socket I, from AT on: STREAM_PART of it. */
static const unsigned char *
stream(int i, uint64_t at)
{
	static bool made;

	for (uint32_t k = 0; k < 2 && !made; k++)
		make_stream(streams[k], k);
	made = true;
	return streams[i] + at % PERIOD;
}

static int
fail(int error)
{
	errno = error;
	return -1;
}

static void
call(void)
{
	if (kernel.on_call)
		kernel.on_call();
}

/* --- reading ------------------------------------------------------- */

/* What a read without bytes is told: tcp_recvmsg_locked. */
static ssize_t
nothing_to_read(struct kernel_sock *s)
{
	int error = s->error;

	if (s->fin)
		return 0;
	s->error = 0;
	if (error)
		return fail(error);
	return s->reset ? 0 : fail(EAGAIN);
}

static size_t
take(struct kernel_sock *s, unsigned char *data, size_t most, size_t n)
{
	int i = (int)(s - kernel.socks);

	if (n > most)
		n = most;
	if (n > STREAM_PART)
		n = STREAM_PART;
	memcpy(data, stream(i, s->taken), n);
	s->taken += n;
	if (s->has_mark && s->taken > s->mark)
		s->has_mark = false;
	return n;
}

/* Bytes before the mark, which a read that begins there passes over. */
static size_t
unread(const struct kernel_sock *s, bool passes_mark)
{
	uint64_t end = s->arrived;

	if (s->has_mark && !(passes_mark && s->mark == s->taken))
		end = s->mark;
	return (size_t)(end - s->taken);
}

ssize_t __wrap_recv(int fd, void *data, size_t most, int flags);

ssize_t
__wrap_recv(int fd, void *data, size_t most, int flags)
{
	struct kernel_sock *s = kernel_sock_of(fd);
	size_t n;

	FUZZ_CHECK(s && !flags && most);
	call();
	n = unread(s, true);
	return n ? (ssize_t)take(s, data, most, n) : nothing_to_read(s);
}

/* --- writing ------------------------------------------------------- */

/* How many of N bytes S takes, or -1 with errno: tcp_sendmsg_locked. */
static ssize_t
ask_room(struct kernel_sock *s, size_t n)
{
	int error = s->error ? s->error : EPIPE;

	if (s->error || s->reset || s->shut) {
		s->error = 0;
		return fail(error);
	}
	if (n > kernel_room(s)) {
		s->no_room = true;
		n = kernel_room(s);
	}
	return n ? (ssize_t)n : fail(EAGAIN);
}

static void
accept_bytes(struct kernel_sock *s, const unsigned char *data, size_t n)
{
	const struct kernel_sock *from = other(s);
	int i = (int)(from - kernel.socks);

	FUZZ_CHECK(s->accepted + n <= from->taken);
	while (n) {
		size_t k = n < STREAM_PART ? n : STREAM_PART;

		FUZZ_CHECK(!memcmp(data, stream(i, s->accepted), k));
		s->accepted += k;
		data += k;
		n -= k;
	}
}

ssize_t __wrap_send(int fd, const void *data, size_t n, int flags);

ssize_t
__wrap_send(int fd, const void *data, size_t n, int flags)
{
	struct kernel_sock *s = kernel_sock_of(fd);
	ssize_t taken;

	FUZZ_CHECK(s && (flags & MSG_NOSIGNAL) && n);
	call();
	taken = ask_room(s, n);
	if (taken > 0)
		accept_bytes(s, data, (size_t)taken);
	return taken;
}

int __wrap_evbuffer_write(struct evbuffer *buffer, int fd);

int
__wrap_evbuffer_write(struct evbuffer *buffer, int fd)
{
	size_t n = evbuffer_get_length(buffer);
	ssize_t taken =
	    __wrap_send(fd, evbuffer_pullup(buffer, -1), n, MSG_NOSIGNAL);

	if (taken > 0)
		evbuffer_drain(buffer, (size_t)taken);
	return (int)taken;
}

/* --- splice -------------------------------------------------------- */

static ssize_t
socket_to_pipe(struct kernel_sock *s, int pipe, size_t most)
{
	size_t n = unread(s, false), done = 0;
	unsigned char chunk[CHUNK];

	if (!n)
		return nothing_to_read(s);
	n = n < most ? n : most;
	while (done < n) {
		struct kernel_sock before = *s;
		size_t k =
		    take(s, chunk, n - done < CHUNK ? n - done : CHUNK, CHUNK);

		if (write(pipe, chunk, k) != (ssize_t)k) {
			*s = before;
			break; /* the pipe is full */
		}
		done += k;
	}
	FUZZ_CHECK(done);
	return (ssize_t)done;
}

static ssize_t
pipe_to_socket(int pipe, struct kernel_sock *s, size_t n)
{
	ssize_t most = ask_room(s, n);
	unsigned char chunk[CHUNK];

	for (ssize_t done = 0, k; done < most; done += k) {
		k = most - done < CHUNK ? most - done : CHUNK;
		FUZZ_CHECK(read(pipe, chunk, (size_t)k) == k);
		accept_bytes(s, chunk, (size_t)k);
	}
	return most;
}

ssize_t __wrap_splice(
    int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags);

ssize_t
__wrap_splice(
    int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
	struct kernel_sock *from = kernel_sock_of(in),
			   *to = kernel_sock_of(out);

	FUZZ_CHECK(!in_at && !out_at && n && flags && !from != !to);
	call();
	if (kernel.no_splice)
		return fail(EINVAL);
	return from ? socket_to_pipe(from, out, n) : pipe_to_socket(in, to, n);
}

/* --- the others ---------------------------------------------------- */

bool __wrap_sock_is_dead(int fd);
bool __wrap_sock_is_writable(int fd);
bool __wrap_sock_at_mark(int fd);
size_t __wrap_sock_unacked(int fd);
int __wrap_sock_shut_write(int fd);
struct evbuffer *__real_evbuffer_new(void);
struct evbuffer *__wrap_evbuffer_new(void);
int __real_evbuffer_add(struct evbuffer *buffer, const void *data, size_t n);
int __wrap_evbuffer_add(struct evbuffer *buffer, const void *data, size_t n);
int __real_evbuffer_add_reference(struct evbuffer *buffer, const void *data,
    size_t n, evbuffer_ref_cleanup_cb cleanup, void *arg);
int __wrap_evbuffer_add_reference(struct evbuffer *buffer, const void *data,
    size_t n, evbuffer_ref_cleanup_cb cleanup, void *arg);
int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);

bool
__wrap_sock_is_dead(int fd)
{
	call();
	return kernel_ready(kernel_sock_of(fd)) & EPOLLERR;
}

bool
__wrap_sock_is_writable(int fd)
{
	call();
	return kernel_ready(kernel_sock_of(fd)) & EPOLLOUT;
}

bool
__wrap_sock_at_mark(int fd)
{
	const struct kernel_sock *s = kernel_sock_of(fd);

	call();
	return s->has_mark && s->mark == s->taken;
}

size_t
__wrap_sock_unacked(int fd)
{
	const struct kernel_sock *s = kernel_sock_of(fd);

	return (size_t)(s->accepted - s->acked) + (s->shut && !s->fin_acked);
}

int
__wrap_sock_shut_write(int fd)
{
	struct kernel_sock *s = kernel_sock_of(fd), *from = other(s);

	call();
	/* A FIN says that all came: this is what may never be a lie. */
	FUZZ_CHECK(from->fin && s->accepted == from->arrived);
	FUZZ_CHECK(!s->shut);
	if (s->reset)
		return -ENOTCONN;
	s->shut = s->edge = true;
	return 0;
}

static bool
has_memory(void)
{
	if (!kernel.no_memory_in || --kernel.no_memory_in)
		return true;
	kernel.lost_memory = true;
	return false;
}

struct evbuffer *
__wrap_evbuffer_new(void)
{
	return has_memory() ? __real_evbuffer_new() : NULL;
}

int
__wrap_evbuffer_add(struct evbuffer *buffer, const void *data, size_t n)
{
	return has_memory() ? __real_evbuffer_add(buffer, data, n) : -1;
}

int
__wrap_evbuffer_add_reference(struct evbuffer *buffer, const void *data,
    size_t n, evbuffer_ref_cleanup_cb cleanup, void *arg)
{
	return has_memory()
	    ? __real_evbuffer_add_reference(buffer, data, n, cleanup, arg)
	    : -1;
}

int
__wrap_pipe2(int fds[2], int flags)
{
	return kernel.no_pipes ? fail(EMFILE) : __real_pipe2(fds, flags);
}
