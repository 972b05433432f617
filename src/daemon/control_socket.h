/*
 * control_socket: the UNIX socket that the control server listens on: made
 * before privileges go, with the owner and permissions that the
 * configuration says, and taken away at the end. Main's thread.
 */
#ifndef UNATATP_DAEMON_CONTROL_SOCKET_H
#define UNATATP_DAEMON_CONTROL_SOCKET_H

#include "base/sock.h"
#include "daemon/daemon.h"

struct control_socket {
	int fd; /* -1: there is none */
	dev_t device;
	ino_t inode;
	char path[SOCK_PATH_MAX];
};

#define CONTROL_SOCKET_WHY_MAX 160

/*
 * Makes S at PATH, with the permissions and the group that CONF gives the
 * control socket. The listening descriptor, which is S's, or -errno: then
 * WHY tells an administrator the reason.
 */
int control_socket_make(struct control_socket *s, const char *path,
    const struct conf *conf, char why[CONTROL_SOCKET_WHY_MAX]);

/*
 * Opens the socket that CONF names. One that cannot be had ends the start,
 * but the default one is done without; both were logged.
 */
enum daemon_result control_socket_open(
    struct control_socket *s, const struct conf *conf);

/* Removes and closes it; a socket that is another's by now stays. */
void control_socket_close(struct control_socket *s);

#endif
