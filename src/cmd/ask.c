#include "cmd/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/control_client.h"
#include "cmd/command.h"

struct answer {
	ask_line_fn *on_line;
	bool raw, garbled;
};

static void
on_text(void *arg, const char *line, size_t len)
{
	struct answer *answer = arg;
	json_t *object = answer->raw ? NULL : json_loadb(line, len, 0, NULL);

	if (object || answer->raw)
		answer->on_line(line, object);
	else
		answer->garbled = true;
	json_decref(object);
}

/* -1 to go on, or the exit status. */
static int
find_socket(const struct args *args, char path[SOCK_PATH_MAX])
{
	int err = 0;

	if (!args->socket)
		err = conf_control_path(args->path, path);
	else if (strlen(args->socket) < SOCK_PATH_MAX)
		strcpy(path, args->socket);
	else
		err = -ENAMETOOLONG;
	if (err == -EINVAL)
		fprintf(stderr,
		    "unatatp: %s has mistakes before it tells where the "
		    "daemon's socket is (unatatp check names them, -s PATH "
		    "the socket)\n",
		    args->path);
	else if (err)
		fprintf(stderr, "%s: %s\n",
		    args->socket ? args->socket : args->path, strerror(-err));
	if (err)
		return args->socket ? COMMAND_USAGE : COMMAND_BAD_CONFIG;
	if (*path)
		return -1;
	fprintf(stderr,
	    "unatatp: the daemon has no control socket (control.path is "
	    "empty)\n");
	return COMMAND_FAILURE;
}

static int
no_daemon(const char *path)
{
	if (errno == ENOENT || errno == ECONNREFUSED)
		fprintf(stderr,
		    "unatatp: no daemon answers at %s (is it running? -c FILE "
		    "or -s PATH names another)\n",
		    path);
	else
		fprintf(stderr, "unatatp: %s: %s%s\n", path, strerror(errno),
		    errno == EACCES
			? " (control.mode and control.group say who may)"
			: "");
	return errno == EACCES ? COMMAND_NO_PRIVILEGE : COMMAND_FAILURE;
}

static int
finish(const struct control_end *end)
{
	if (end->status && *end->message)
		fprintf(stderr, "unatatp: %s\n", end->message);
	else if (*end->message)
		puts(end->message);
	if (!fflush(stdout) && !ferror(stdout))
		return end->status;
	perror("unatatp: cannot write");
	return COMMAND_FAILURE;
}

int
ask(const struct args *args, const char *request, ask_line_fn *on_line)
{
	struct answer answer = { .on_line = on_line, .raw = args->json };
	struct control_client *client;
	struct control_end end;
	char path[SOCK_PATH_MAX];
	int err, status = find_socket(args, path);

	if (status >= 0)
		return status;
	client = control_client_open(path);
	if (!client)
		return no_daemon(path);
	err = control_client_ask(client, request, on_text, &answer, &end);
	control_client_close(client);
	if (!err && answer.garbled)
		err = -EPROTO;
	if (!err)
		return finish(&end);
	fflush(stdout);
	fprintf(stderr, "unatatp: the daemon at %s %s\n", path,
	    err == -EAGAIN	? "does not answer"
		: err == -EPIPE ? "hung up before it had answered"
				: "gave an answer that makes no sense");
	return COMMAND_FAILURE;
}
