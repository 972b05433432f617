/*
 * notify: what a service manager wants to hear of a process, by the protocol
 * of sd_notify(3): datagrams of KEY=value lines. Nothing here waits, and
 * without a manager nothing happens. Owned and used by the main thread.
 */
#ifndef UNATATP_BASE_NOTIFY_H
#define UNATATP_BASE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	struct sockaddr_un manager;
	socklen_t manager_len;
	int fd;		     /* -1: nobody wants to hear */
	int64_t watchdog_ms; /* silence that the manager bears; 0: any */
};

/*
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the
 * environment, so that no child speaks in our name. Before any fork, since
 * WATCHDOG_PID is the process that the manager started. 0, or -errno when
 * the socket cannot be used; the rest then is as without a manager.
 */
__attribute__((warn_unused_result)) int notify_open(struct notify *n);

/*
 * Sends lines, separated by newlines. A datagram that the manager does not
 * take at once is lost: the next one says more.
 */
__attribute__((format(printf, 2, 3))) void notify_send(
    const struct notify *n, const char *format, ...);

void notify_close(struct notify *n);

#endif
