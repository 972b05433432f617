/*
 * control: the line server on the control socket. It reads requests, one
 * line each, hands them to the console one at a time a client, and sends
 * what the console prints. Main's thread. Everything is bounded: clients,
 * the length of a line, what waits for a slow reader, and how long.
 */
#ifndef UNATATP_DAEMON_CONTROL_H
#define UNATATP_DAEMON_CONTROL_H

#include <jansson.h>
#include <stdbool.h>

struct control;
struct control_peer; /* one client */
struct event_base;

/* What a client may cost; unatatp(8) names them. */
#define CONTROL_LINE_MAX 4096
#define CONTROL_CLIENTS 16
#define CONTROL_READERS 12 /* of them; the rest is for who may change */
#define CONTROL_IDLE_S 60
#define CONTROL_STALLED_S 10
#define CONTROL_PENDING 65536 /* bytes; more only within one object */

/*
 * A request that is not answered at once. The server calls on_room when
 * the client has taken most of what was printed, on_gone when it has left:
 * then nothing of the peer may be used again.
 */
struct control_job {
	void (*on_room)(struct control_job *job);
	void (*on_gone)(struct control_job *job);
};

/* LINE is the callee's to write in, for the length of the call. */
typedef void control_request_fn(
    void *owner, struct control_peer *peer, char *line);

/* Serves the listening FD, which stays the caller's. NULL with errno. */
struct control *control_new(struct event_base *base, int fd,
    control_request_fn *on_request, void *owner);

/* Hangs up on all; jobs hear of it. NULL is allowed. */
void control_free(struct control *control);

/* True for root and for the user that the daemon runs as. */
bool control_may_change(const struct control_peer *peer);

/* Adds a line to the answer; OBJECT, which may be NULL, is taken over. */
void control_print(struct control_peer *peer, json_t *object);

/* True when no more should be printed before on_room. */
bool control_is_full(const struct control_peer *peer);

/* JOB hears of room and of the end, until control_end. */
void control_wait(struct control_peer *peer, struct control_job *job);

/* Ends the answer with an exit status of unatatp(8) and a message or "". */
__attribute__((format(printf, 3, 4))) void control_end(
    struct control_peer *peer, int status, const char *format, ...);

#endif
