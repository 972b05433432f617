/* What a daemon, or what stands in its place, may answer a command. */
#include "base/control_client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

int __wrap_sock_unix_connect(const char *path, int timeout_ms);

static int near_end;

int
__wrap_sock_unix_connect(const char *path, int timeout_ms)
{
	FUZZ_CHECK(*path && timeout_ms > 0);
	return near_end;
}

static void
on_line(void *arg, const char *line, size_t len)
{
	size_t *n = arg;

	FUZZ_CHECK(*line == '{' && strlen(line) <= len);
	FUZZ_CHECK(!memchr(line, '\n', len));
	(*n)++;
}

/* How many lines of DATA begin with a brace, before one that does not. */
static size_t
count_objects(const uint8_t *data, size_t size)
{
	size_t n = 0;

	while (size) {
		const uint8_t *end = memchr(data, '\n', size);

		if (*data != '{' || !end)
			return n;
		n++;
		size -= (size_t)(end - data) + 1;
		data = end + 1;
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_end end = { 0 };
	struct control_client *c;
	int fds[2], err, before = fuzz_open_fds();
	size_t n_lines = 0;

	signal(SIGPIPE, SIG_IGN);
	FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	near_end = fds[0];
	if (send(fds[1], data, size, MSG_DONTWAIT) < (ssize_t)size)
		size = 0; /* more than a socket holds: nothing was sent */
	shutdown(fds[1], SHUT_WR);
	c = control_client_open("/run/unatatp/control");
	FUZZ_CHECK(c);
	err = control_client_ask(c, "show flows", on_line, &n_lines, &end);
	FUZZ_CHECK(!err || err == -EPIPE || err == -EPROTO);
	FUZZ_CHECK(strlen(end.message) < sizeof(end.message));
	FUZZ_CHECK(!size || n_lines == count_objects(data, size));
	control_client_close(c);
	close(fds[1]);
	FUZZ_CHECK(fuzz_open_fds() == before);
	return 0;
}
