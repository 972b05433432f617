#include "base/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock_unix.h"

/* A reload may have a hundred thousand prefixes to read. */
#define PATIENCE_MS 30000

struct control_client {
	FILE *in;
	char *line;
	size_t size;
	int fd; /* in's */
};

struct control_client *
control_client_open(const char *path)
{
	struct control_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = sock_unix_connect(path, PATIENCE_MS);
	if (c->fd < 0) {
		errno = -c->fd;
		goto free_client;
	}
	c->in = fdopen(c->fd, "r");
	if (c->in)
		return c;
	close(c->fd);
free_client:
	free(c);
	return NULL;
}

void
control_client_close(struct control_client *c)
{
	if (!c)
		return;
	fclose(c->in);
	free(c->line);
	free(c);
}

static int
send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* "end STATUS MESSAGE" */
static int
take_end(const char *line, struct control_end *end)
{
	int at = 0;

	if (sscanf(line, "end %d%n", &end->status, &at) != 1 || !at)
		return -EPROTO;
	line += at;
	line += *line == ' ';
	snprintf(end->message, sizeof(end->message), "%s", line);
	return 0;
}

static int
read_answer(struct control_client *c, control_line_fn *on_line, void *arg,
    struct control_end *end)
{
	for (;;) {
		ssize_t n;

		errno = 0;
		n = getline(&c->line, &c->size, c->in);
		if (n < 0 && errno && errno != ECONNRESET)
			return -errno;
		if (n < 0 || c->line[n - 1] != '\n')
			return -EPIPE;
		c->line[--n] = '\0';
		if (*c->line != '{')
			return take_end(c->line, end);
		if (on_line)
			on_line(arg, c->line, (size_t)n);
	}
}

int
control_client_ask(struct control_client *c, const char *request,
    control_line_fn *on_line, void *arg, struct control_end *end)
{
	int err = send_all(c->fd, request, strlen(request));

	if (!err)
		err = send_all(c->fd, "\n", 1);
	/* Refused at once, with a reason that is still to be read. */
	if (!err || err == -EPIPE)
		err = read_answer(c, on_line, arg, end);
	return err;
}
