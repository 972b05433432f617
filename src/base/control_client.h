/*
 * control_client: asks the running daemon over its control socket, and
 * waits for the answer. The protocol stands in unatatp(8). For commands,
 * which have nothing else to do meanwhile; one thread at a time.
 */
#ifndef UNATATP_BASE_CONTROL_CLIENT_H
#define UNATATP_BASE_CONTROL_CLIENT_H

#include <stddef.h>

struct control_client;

/* How an answer ended: an exit status of unatatp(8), and why. */
struct control_end {
	int status;
	char message[512]; /* "": none */
};

/* One line of the answer, a JSON object without its newline. */
typedef void control_line_fn(void *arg, const char *line, size_t len);

/*
 * Connects to the daemon at PATH. NULL with errno: ENOENT or ECONNREFUSED
 * when no daemon is there, EACCES when the caller may not ask it.
 */
struct control_client *control_client_open(const char *path);
void control_client_close(struct control_client *c); /* NULL is allowed */

/*
 * Sends REQUEST, one line without its newline, and hands each line of the
 * answer to ON_LINE. 0 with END filled in, or -errno: -EAGAIN when the
 * daemon is silent, -EPIPE when it hung up, -EPROTO when it babbles.
 */
__attribute__((warn_unused_result)) int control_client_ask(
    struct control_client *c, const char *request, control_line_fn *on_line,
    void *arg, struct control_end *end);

#endif
