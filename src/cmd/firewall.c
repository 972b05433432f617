#include "gateway/firewall.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/privs.h"
#include "cmd/command.h"

static int
show(const struct args *args, const struct conf *conf)
{
	return firewall_show(conf, args->backend);
}

static int
up(const struct args *args, const struct conf *conf)
{
	return firewall_up(conf, args->backend, args->confirm);
}

static int
confirm(const struct args *args, const struct conf *conf)
{
	(void)args;
	(void)conf;
	return firewall_confirm();
}

static int
down(const struct args *args, const struct conf *conf)
{
	(void)args;
	(void)conf;
	return firewall_down();
}

static int
status(const struct args *args, const struct conf *conf)
{
	(void)args;
	return firewall_status(conf);
}

const char *const cmd_firewall_verbs[] = { "show", "up", "confirm", "down",
	"status", NULL };

static const struct verb {
	const char *name;
	int (*run)(const struct args *args, const struct conf *conf);
	unsigned options; /* beside -c */
	bool reads;	  /* the configuration */
	bool root;
} verbs[] = {
	{ "show", show, ARGS_BACKEND, true, false },
	{ "up", up, ARGS_CONFIRM | ARGS_BACKEND, true, true },
	{ "confirm", confirm, 0, false, true },
	{ "down", down, 0, false, true },
	{ "status", status, 0, true, true },
};

static void
on_finding(void *arg, enum conf_severity severity, const char *line)
{
	(void)arg;
	(void)severity;
	fprintf(stderr, "%s\n", line);
}

static int
refuse(const struct verb *verb, const char *option)
{
	fprintf(stderr,
	    "unatatp: firewall %s takes no --%s (try unatatp --help)\n",
	    verb->name, option);
	return COMMAND_USAGE;
}

/* NULL when it has a mistake, or is none to make rules of; that was said. */
static struct conf *
read_conf(const struct args *args)
{
	struct conf_report report = { .emit = on_finding };
	struct conf *conf = conf_read(args->path, &args->over, &report);

	if (!conf || conf->firewall.n_interfaces)
		return conf;
	fprintf(stderr,
	    "%s: no interfaces for the firewall (say where the clients are: "
	    "firewall = { interfaces = [ \"wg0\" ]; };)\n",
	    args->path ? args->path : CONF_DEFAULT_PATH " (no such file)");
	conf_unref(conf);
	return NULL;
}

int
cmd_firewall(const struct args *args)
{
	const struct verb *verb = verbs;
	struct conf *conf = NULL;
	int result;

	while (strcmp(verb->name, args->verb))
		verb++;
	if (args->confirm && !(verb->options & ARGS_CONFIRM))
		return refuse(verb, "confirm");
	if (args->backend && !(verb->options & ARGS_BACKEND))
		return refuse(verb, "backend");
	if (verb->root && (geteuid() || !privs_has_net_admin())) {
		fprintf(stderr,
		    "unatatp: firewall %s deals with the kernel: be root%s\n",
		    verb->name, geteuid() ? "" : ", and with CAP_NET_ADMIN");
		return COMMAND_NO_PRIVILEGE;
	}
	if (verb->reads) {
		conf = read_conf(args);
		if (!conf)
			return COMMAND_BAD_CONFIG;
	}
	result = verb->run(args, conf) ? COMMAND_FAILURE : COMMAND_GOOD;
	conf_unref(conf);
	return result;
}
