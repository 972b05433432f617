/*
 * What a service manager puts into the environment: NAME=VALUE lines, "me"
 * for the number of this process. Sockets below descriptor 64 are refused
 * one way or the other, those above are good.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "daemon/inherit.h"
#include "fuzz.h"

#define GOOD_FROM 64
#define MOST_FDS 256

static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC",
	"WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };

#define NAMES (sizeof(names) / sizeof(*names))

int __wrap_sock_adopt(int fd, struct addr *a);
void __wrap_log_line(enum log_level level, const char *format, ...);

int
__wrap_sock_adopt(int fd, struct addr *a)
{
	static const int errors[] = { EBADF, ENOTSOCK, EPROTONOSUPPORT, EINVAL,
		EPERM, ENOBUFS };

	FUZZ_CHECK(fd >= 3);
	if (fd < GOOD_FROM)
		return -errors[fd % 6];
	return addr_parse(a, "127.0.0.1", (uint16_t)(9000 + fd % 3));
}

void
__wrap_log_line(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;

	(void)level;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	FUZZ_CHECK(*line);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct rlimit few = { MOST_FDS, MOST_FDS };

	(void)argc;
	(void)argv;
	FUZZ_CHECK(!setrlimit(RLIMIT_NOFILE, &few));
	return 0;
}

static void
set_one(char *line)
{
	char *value = strchr(line, '='), me[16];

	if (!value)
		return;
	*value++ = '\0';
	snprintf(me, sizeof(me), "%d", (int)getpid());
	for (size_t i = 0; i < NAMES; i++)
		if (!strcmp(line, names[i]))
			setenv(line, strcmp(value, "me") ? value : me, 1);
}

static void
check_notify(void)
{
	struct notify n;
	int err = notify_open(&n);

	FUZZ_CHECK(n.watchdog_ms >= 0);
	FUZZ_CHECK(!err || n.fd < 0);
	notify_close(&n);
}

static void
check_inherit(const struct conf *conf)
{
	struct inherit in;
	int err = inherit_open(&in);
	size_t n = in.n;

	FUZZ_CHECK(n < MOST_FDS);
	if (err < 0 || !conf->n_listens)
		n = in.n;
	inherit_warn(&in, conf);
	inherit_keep(&in, conf);
	FUZZ_CHECK(in.n <= n);
	for (size_t i = 0; i < in.n; i++)
		FUZZ_CHECK(inherit_count(&in, &in.sockets[i].addr) > 0);
	inherit_close(&in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *rest = text, *line;
	struct addr listen;
	struct conf conf = { .listens = &listen, .n_listens = 1 };

	FUZZ_CHECK(!addr_parse(&listen, "127.0.0.1", 9001));
	while ((line = strsep(&rest, "\n")))
		set_one(line);
	check_notify();
	check_inherit(&conf);
	for (size_t i = 0; i < NAMES; i++)
		FUZZ_CHECK(!getenv(names[i]));
	free(text);
	return 0;
}
