#include <event2/buffer.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/command.h"

static void
on_finding(void *arg, enum conf_severity severity, const char *line)
{
	(void)arg;
	(void)severity;
	fprintf(stderr, "%s\n", line);
}

static int
write_all(struct evbuffer *buffer)
{
	while (evbuffer_get_length(buffer))
		if (evbuffer_write(buffer, STDOUT_FILENO) < 0)
			return -1;
	return 0;
}

static int
print_effective(const struct conf *conf)
{
	struct evbuffer *out = evbuffer_new();
	int status = COMMAND_GOOD;

	if (!out || conf_print(conf, out) || write_all(out)) {
		perror("unatatp: cannot print the configuration");
		status = COMMAND_FAILURE;
	}
	if (out)
		evbuffer_free(out);
	return status;
}

static int
print_summary(const char *path, const struct conf *conf, unsigned warnings)
{
	printf("%s: good (%zu %s, %u %s)\n",
	    path ? path : "built-in configuration", conf->n_policies,
	    conf->n_policies == 1 ? "policy" : "policies", warnings,
	    warnings == 1 ? "warning" : "warnings");
	if (!fflush(stdout))
		return COMMAND_GOOD;
	perror("unatatp: cannot write");
	return COMMAND_FAILURE;
}

int
cmd_check(const struct args *args)
{
	struct conf_report report = { .emit = on_finding };
	struct conf *conf = conf_read(args->path, &args->over, &report);
	int status;

	if (!conf)
		return COMMAND_BAD_CONFIG;
	if (args->print)
		status = print_effective(conf);
	else
		status = print_summary(args->path, conf, report.warnings);
	conf_unref(conf);
	return status;
}
