#include "cmd/show_policies.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/show_flow.h"

#define CELL_MAX 40

/* What stands at PATH, such as "client.rtt_us.p50"; NULL: nothing. */
static const json_t *
at(const json_t *object, const char *path)
{
	char name[32];

	while (object && *path) {
		size_t len = strcspn(path, ".");

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		object = json_object_get(object, name);
		path += len + (path[len] == '.');
	}
	return object;
}

static void
format_number(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	char text[SHOW_NUMBER_MAX];

	snprintf(cell, CELL_MAX, "%s",
	    show_number(json_integer_value(at(policy, path)), text));
}

static void
format_text(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	const char *text = json_string_value(at(policy, path));

	snprintf(cell, CELL_MAX, "%s", text ? text : "-");
}

/* PATH.p50, .p90 and .p99 in one cell; UNIT: what one of them is, in us. */
static void
format_quantiles(
    char cell[CELL_MAX], const json_t *policy, const char *path, int64_t unit)
{
	static const char *const names[] = { "p50", "p90", "p99" };
	const json_t *q = at(policy, path);
	char text[SHOW_TIME_MAX];
	int n = 0;

	if (!json_integer_value(json_object_get(q, "count"))) {
		strcpy(cell, "-");
		return;
	}
	for (int i = 0; i < 3 && n < CELL_MAX; i++)
		n += snprintf(cell + n, (size_t)(CELL_MAX - n), "%s%s",
		    i ? " " : "",
		    show_time(
			unit * json_integer_value(json_object_get(q, names[i])),
			text));
}

static void
format_us(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	format_quantiles(cell, policy, path, 1);
}

static void
format_ms(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	format_quantiles(cell, policy, path, 1000);
}

/* The share of segments that PATH, a leg, has sent again. */
static void
format_share(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	const json_t *leg = at(policy, path);
	double segments = (double)json_integer_value(at(leg, "segments"));

	if (segments > 0)
		snprintf(cell, CELL_MAX, "%.2f%%",
		    100.0 * (double)json_integer_value(at(leg, "retrans")) /
			segments);
	else
		strcpy(cell, "-");
}

/* Parts in a million as a percentage. */
static void
format_ppm(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	const json_t *q = at(policy, path);

	if (!json_integer_value(at(q, "count"))) {
		strcpy(cell, "-");
		return;
	}
	snprintf(cell, CELL_MAX, "%.2f%% %.2f%% %.2f%%",
	    (double)json_integer_value(at(q, "p50")) / 10000,
	    (double)json_integer_value(at(q, "p90")) / 10000,
	    (double)json_integer_value(at(q, "p99")) / 10000);
}

static void
format_rates(char cell[CELL_MAX], const json_t *policy, const char *path)
{
	static const char *const names[] = { "1s", "10s", "60s" };
	char text[SHOW_NUMBER_MAX];
	int n = 0;

	for (int i = 0; i < 3 && n < CELL_MAX; i++) {
		const json_t *span = at(at(policy, "rates"), names[i]);

		n += snprintf(cell + n, (size_t)(CELL_MAX - n), "%s%s",
		    i ? " " : "",
		    show_number(
			(int64_t)json_number_value(at(span, path)), text));
	}
}

typedef void format_fn(
    char cell[CELL_MAX], const json_t *policy, const char *path);

struct cell {
	const char *label;
	format_fn *format;
	const char *path;
	int width; /* in the table; 0: in the comparison only */
};

static const struct cell cells[] = {
	{ "ACTIVE", format_number, "flows_active", 6 },
	{ "OPENED", format_number, "flows_opened", 6 },
	{ "UP", format_number, "up", 6 },
	{ "DOWN", format_number, "down", 6 },
	{ "BIT/s UP 1s 10s 60s", format_rates, "up", 20 },
	{ "BIT/s DOWN 1s 10s 60s", format_rates, "down", 21 },
	{ "FLOWS/s 1s 10s 60s", format_rates, "flows", 0 },
	{ "CLIENT CC", format_text, "client.cc", 9 },
	{ "RTT p50 p90 p99", format_us, "client.rtt_us", 22 },
	{ "RETRANS", format_share, "client", 7 },
	{ "RETRANS p50 p90 p99", format_ppm, "client.retrans_ppm", 0 },
	{ "SERVER CC", format_text, "server.cc", 9 },
	{ "RTT p50 p90 p99", format_us, "server.rtt_us", 22 },
	{ "RETRANS", format_share, "server", 7 },
	{ "RETRANS p50 p90 p99", format_ppm, "server.retrans_ppm", 0 },
	{ "CONNECT p50 p90 p99", format_ms, "connect_ms", 0 },
	{ "DURATION p50 p90 p99", format_ms, "duration_ms", 0 },
	{ "REFUSED", format_number, "congestion_refused", 7 },
};

#define CELLS (sizeof(cells) / sizeof(*cells))

static void
print_head(void)
{
	printf("%-16s", "POLICY");
	for (size_t i = 0; i < CELLS; i++)
		if (cells[i].width)
			printf("  %*s", cells[i].width, cells[i].label);
	putchar('\n');
}

static void
print_endings(const json_t *policy)
{
	const char *name, *separator = "  ended: ";
	json_t *value;

	json_object_foreach((json_t *)at(policy, "endings"), name, value)
	{
		if (!json_integer_value(value))
			continue;
		printf("%s%s %lld", separator, name,
		    (long long)json_integer_value(value));
		separator = ", ";
	}
	if (*separator == ',')
		putchar('\n');
}

/* "bbr 18.9M (70 flows)" */
static void
print_algorithm(const char *separator, const json_t *one)
{
	json_int_t rate = json_integer_value(at(one, "rate"));
	json_int_t flows = json_integer_value(at(one, "flows"));
	char text[SHOW_NUMBER_MAX];

	printf("%s%s %s (%lld flow%s)", separator,
	    json_string_value(at(one, "cc")),
	    rate ? show_number(rate, text) : "-", (long long)flows,
	    flows == 1 ? "" : "s");
}

/* What "auto" has seen on LEG, and what it comes to: a line a network. */
static void
print_auto(const json_t *leg, const char *peers)
{
	const json_t *list = at(leg, "auto.recent"), *network, *one;
	json_int_t left = json_integer_value(at(leg, "auto.networks")) -
	    (json_int_t)json_array_size(list);
	size_t i, k;

	json_array_foreach(list, i, network)
	{
		const char *best = json_string_value(at(network, "best"));

		printf("  auto: %s %s: %s", peers,
		    json_string_value(at(network, "network")),
		    best ? best : "-");
		json_array_foreach(at(network, "algorithms"), k, one)
		    print_algorithm(k ? ", " : "; ", one);
		putchar('\n');
	}
	if (left > 0)
		printf("  auto: %s of %lld networks more\n", peers,
		    (long long)left);
}

void
show_policy(void *arg, const char *text, const json_t *policy)
{
	static bool told;
	char cell[CELL_MAX];

	(void)arg;
	(void)text;
	if (!told)
		print_head();
	told = true;
	format_text(cell, policy, "policy");
	printf("%-16s", cell);
	for (size_t i = 0; i < CELLS; i++) {
		if (!cells[i].width)
			continue;
		cells[i].format(cell, policy, cells[i].path);
		printf("  %*s", cells[i].width, cell);
	}
	putchar('\n');
	print_endings(policy);
	print_auto(at(policy, "client"), "clients");
	print_auto(at(policy, "server"), "servers");
}

static void
print_pair(const char *label, const char *one, const char *two)
{
	printf("%-24s %24s %24s\n", label, one, two);
}

void
show_comparison(void *arg, const char *text, const json_t *policy)
{
	static json_t *first;
	char one[CELL_MAX], two[CELL_MAX];
	const char *name;
	json_t *value;

	(void)arg;
	(void)text;
	if (!first) {
		first = json_incref((json_t *)policy);
		return;
	}
	format_text(one, first, "policy");
	format_text(two, policy, "policy");
	print_pair("", one, two);
	for (size_t i = 0; i < CELLS; i++) {
		cells[i].format(one, first, cells[i].path);
		cells[i].format(two, policy, cells[i].path);
		print_pair(cells[i].label, one, two);
	}
	json_object_foreach((json_t *)at(first, "endings"), name, value)
	{
		if (!json_integer_value(value) &&
		    !json_integer_value(at(at(policy, "endings"), name)))
			continue;
		format_number(one, at(first, "endings"), name);
		format_number(two, at(policy, "endings"), name);
		print_pair(name, one, two);
	}
	json_decref(first);
	first = NULL;
}
