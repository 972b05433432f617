/*
 * sock_unix: UNIX stream sockets that have a path. Descriptors that come
 * out are close-on-exec and belong to the caller. Any thread, but for
 * sock_unix_listen, which changes the process's umask for a moment.
 */
#ifndef UNATATP_BASE_SOCK_UNIX_H
#define UNATATP_BASE_SOCK_UNIX_H

#include <sys/types.h>

/*
 * A non-blocking listener at PATH with the permissions MODE. A socket that
 * nobody listens on any more is replaced. The descriptor, or -errno:
 * -EADDRINUSE when somebody listens there, whose process goes to HOLDER;
 * -EEXIST when PATH is there and is no socket.
 */
int sock_unix_listen(const char *path, mode_t mode, pid_t *holder);

/* The next connection, non-blocking, or -errno (-EAGAIN: none waits). */
int sock_unix_accept(int listener);

/*
 * A connection to PATH that gives up a read or write (-EAGAIN) after
 * TIMEOUT_MS without progress. The descriptor or -errno.
 */
int sock_unix_connect(const char *path, int timeout_ms);

/* Who is at the other end: SO_PEERCRED. 0 or -errno. */
__attribute__((warn_unused_result)) int sock_unix_peer(
    int fd, uid_t *uid, pid_t *pid);

#endif
