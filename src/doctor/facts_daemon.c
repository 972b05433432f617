/* What the running daemon says: its counters, by the control socket. */
#include <errno.h>
#include <string.h>

#include "base/control_client.h"
#include "doctor/facts.h"

static void
on_line(void *arg, const char *line, size_t len)
{
	struct facts_json *fact = arg;

	json_decref(fact->json);
	fact->json = json_loadb(line, len, 0, NULL);
}

static const char *
ask(struct facts_json *fact, const char *path)
{
	struct control_client *client = control_client_open(path);
	struct control_end end;
	const char *why = NULL;
	int err;

	if (!client)
		return errno == ENOENT || errno == ECONNREFUSED
		    ? "no daemon is there"
		    : strerror(errno);
	err = control_client_ask(client, "show stats", on_line, fact, &end);
	if (err)
		why = err == -EAGAIN ? "the daemon is silent" : strerror(-err);
	else if (!fact->json)
		why = *end.message ? "the daemon refuses to answer"
				   : "the daemon said nothing";
	control_client_close(client);
	return why;
}

json_t *
facts_daemon(struct facts *f, const char **why)
{
	const char *path = f->conf->control.path;

	if (!f->daemon.json && !f->daemon.why)
		f->daemon.why = *path
		    ? ask(&f->daemon, path)
		    : "control.path is empty: there is no socket to ask";
	if (why)
		*why = f->daemon.why;
	return f->daemon.json;
}
