#include "cmd/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/control_client.h"
#include "cmd/command.h"

#define NO_ANSWER "unatatp: the daemon at %s does not answer"

struct answer {
	ask_line_fn *on_line;
	void *arg;
	bool raw, garbled;
};

static void
on_text(void *arg, const char *line, size_t len)
{
	struct answer *answer = arg;
	json_t *object = answer->raw ? NULL : json_loadb(line, len, 0, NULL);

	if (object || answer->raw)
		answer->on_line(answer->arg, line, object);
	else
		answer->garbled = true;
	json_decref(object);
}

/* -1 to go on, or the exit status. */
static int
find_socket(
    const struct args *args, char path[SOCK_PATH_MAX], char word[ASK_WORD_MAX])
{
	int err = 0;

	if (!args->socket)
		err = conf_control_path(args->path, path);
	else if (strlen(args->socket) < SOCK_PATH_MAX)
		strcpy(path, args->socket);
	else
		err = -ENAMETOOLONG;
	if (err == -EINVAL)
		snprintf(word, ASK_WORD_MAX,
		    "unatatp: %s has mistakes before it tells where the "
		    "daemon's socket is (unatatp check names them, -s PATH "
		    "the socket)",
		    args->path);
	else if (err)
		snprintf(word, ASK_WORD_MAX, "%s: %s",
		    args->socket ? args->socket : args->path, strerror(-err));
	if (err)
		return args->socket ? COMMAND_USAGE : COMMAND_BAD_CONFIG;
	if (*path)
		return -1;
	snprintf(word, ASK_WORD_MAX,
	    "unatatp: the daemon has no control socket (control.path is "
	    "empty)");
	return COMMAND_FAILURE;
}

static int
no_daemon(const char *path, char word[ASK_WORD_MAX])
{
	if (errno == EAGAIN)
		snprintf(word, ASK_WORD_MAX, NO_ANSWER, path);
	else if (errno == ENOENT || errno == ECONNREFUSED)
		snprintf(word, ASK_WORD_MAX,
		    "unatatp: no daemon answers at %s (is it running? -c FILE "
		    "or -s PATH names another)",
		    path);
	else
		snprintf(word, ASK_WORD_MAX, "unatatp: %s: %s%s", path,
		    strerror(errno),
		    errno == EACCES
			? " (control.mode and control.group say who may)"
			: "");
	return errno == EACCES ? COMMAND_NO_PRIVILEGE : COMMAND_FAILURE;
}

static int
finish(const struct control_end *end, char word[ASK_WORD_MAX])
{
	if (*end->message)
		snprintf(word, ASK_WORD_MAX, "%s%s",
		    end->status ? "unatatp: " : "", end->message);
	return end->status;
}

int
ask_quietly(const struct args *args, const char *request, ask_line_fn *on_line,
    void *arg, char word[ASK_WORD_MAX])
{
	struct answer answer = {
		.on_line = on_line,
		.arg = arg,
		.raw = args->json,
	};
	struct control_client *client;
	struct control_end end;
	char path[SOCK_PATH_MAX];
	int err, status;

	*word = '\0';
	status = find_socket(args, path, word);
	if (status >= 0)
		return status;
	client = control_client_open(path);
	if (!client)
		return no_daemon(path, word);
	err = control_client_ask(client, request, on_text, &answer, &end);
	control_client_close(client);
	if (!err && answer.garbled)
		err = -EPROTO;
	if (!err)
		return finish(&end, word);
	if (err == -EAGAIN)
		snprintf(word, ASK_WORD_MAX, NO_ANSWER, path);
	else
		snprintf(word, ASK_WORD_MAX, "unatatp: the daemon at %s %s",
		    path,
		    err == -EPIPE ? "hung up before it had answered"
				  : "gave an answer that makes no sense");
	return COMMAND_FAILURE;
}

int
ask(const struct args *args, const char *request, ask_line_fn *on_line,
    void *arg)
{
	char word[ASK_WORD_MAX];
	int status = ask_quietly(args, request, on_line, arg, word);

	if (*word && !status)
		puts(word);
	if (fflush(stdout) || ferror(stdout)) {
		perror("unatatp: cannot write");
		return COMMAND_FAILURE;
	}
	if (*word && status)
		fprintf(stderr, "%s\n", word);
	return status;
}
