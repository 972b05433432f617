/* What the running daemon shows, as tables for people or as JSON. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/ask.h"
#include "cmd/command.h"
#include "cmd/show_flow.h"
#include "cmd/show_policies.h"

static void
print_json(const char *text, const json_t *object)
{
	(void)object;
	puts(text);
}

/* A value of JSON as a person writes it. */
static void
print_value(const json_t *value)
{
	if (json_is_string(value))
		puts(json_string_value(value));
	else if (json_is_integer(value))
		printf("%lld\n", (long long)json_integer_value(value));
	else if (json_is_null(value))
		puts("-");
	else
		puts(json_is_true(value) ? "yes" : "no");
}

/* The endings that have happened. */
static void
print_counts(const json_t *counts)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)counts, name, value)
	{
		if (json_integer_value(value))
			printf("%-20s %lld\n", name,
			    (long long)json_integer_value(value));
	}
}

static void
print_stats(const char *text, const json_t *object)
{
	const char *name;
	json_t *value;

	(void)text;
	json_object_foreach((json_t *)object, name, value)
	{
		if (json_is_object(value)) {
			print_counts(value);
		} else {
			printf("%-20s ", name);
			print_value(value);
		}
	}
}

/* The text alone goes where `check --print` would write it. */
static void
print_config(const char *text, const json_t *object)
{
	const char *file = json_string_value(json_object_get(object, "file"));
	time_t loaded =
	    (time_t)json_integer_value(json_object_get(object, "loaded"));
	char when[32] = "?";
	struct tm tm;

	(void)text;
	if (localtime_r(&loaded, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(stderr, "%s, loaded %s\n",
	    file ? file : "built-in configuration", when);
	text = json_string_value(json_object_get(object, "text"));
	fputs(text ? text : "", stdout);
}

static const struct {
	const char *verb;
	ask_line_fn *print, *compare;
} views[] = {
	{ "flows", show_flow, NULL },
	{ "policies", show_policy, show_comparison },
	{ "stats", print_stats, NULL },
	{ "config", print_config, NULL },
};

int
cmd_show(const struct args *args)
{
	char request[1024];
	size_t i = 0, n;

	while (strcmp(views[i].verb, args->verb))
		i++;
	n = (size_t)snprintf(request, sizeof(request), "show %s", args->verb);
	for (size_t j = 0; j < args->n_wishes && n < sizeof(request); j++)
		n += (size_t)snprintf(request + n, sizeof(request) - n,
		    " %s=%s", args->wishes[j].key, args->wishes[j].value);
	if (n >= sizeof(request)) {
		fprintf(stderr, "unatatp: the options are too long\n");
		return COMMAND_USAGE;
	}
	if (args->json)
		return ask(args, request, print_json);
	/* A comparison where there is none is refused by the daemon. */
	return ask(args, request,
	    args->compare && views[i].compare ? views[i].compare
					      : views[i].print);
}
