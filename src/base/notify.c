#include "base/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 1024

/* A path, or "@name" for an abstract one: unix(7). 0 or -errno. */
static int
set_manager(struct notify *n, const char *name)
{
	size_t len = strlen(name);

	if (*name != '/' && *name != '@')
		return -EAFNOSUPPORT;
	if (len >= sizeof(n->manager.sun_path))
		return -ENAMETOOLONG;
	n->manager.sun_family = AF_UNIX;
	memcpy(n->manager.sun_path, name, len + 1);
	n->manager_len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (*name == '@') {
		n->manager.sun_path[0] = '\0';
		n->manager_len--; /* its NUL would be part of the name */
	}
	return 0;
}

/* The time that WATCHDOG_USEC grants, when it is meant for this process. */
static int64_t
read_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	char *end;
	long long value;

	if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	errno = 0;
	value = strtoll(usec, &end, 10);
	if (errno || end == usec || *end || value < 1000)
		return 0;
	return value / 1000;
}

int
notify_open(struct notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int err = 0;

	*n = (struct notify){ .fd = -1 };
	if (name && *name) {
		err = set_manager(n, name);
		if (!err)
			n->fd = socket(AF_UNIX,
			    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (!err && n->fd < 0)
			err = -errno;
		n->watchdog_ms = err ? 0 : read_watchdog();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return err;
}

void
notify_send(const struct notify *n, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;
	int len;

	if (n->fd < 0)
		return;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		return;
	if (len >= (int)sizeof(text))
		len = (int)sizeof(text) - 1;
	sendto(n->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL,
	    (const struct sockaddr *)&n->manager, n->manager_len);
}

void
notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}
