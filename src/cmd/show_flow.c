#include "cmd/show_flow.h"

#include <inttypes.h>
#include <stdio.h>

const char *
show_number(int64_t n, char text[SHOW_NUMBER_MAX])
{
	static const char units[] = " KMGTPE";
	double value = (double)n;
	size_t i = 0;

	for (; value >= 999.5; i++)
		value /= 1000;
	if (!i)
		snprintf(text, SHOW_NUMBER_MAX, "%.0f", value);
	else
		snprintf(text, SHOW_NUMBER_MAX, "%.*f%c", value < 99.95 ? 1 : 0,
		    value, units[i]);
	return text;
}

const char *
show_time(int64_t us, char text[SHOW_TIME_MAX])
{
	int64_t s = us / 1000000;

	if (us < 1000)
		snprintf(text, SHOW_TIME_MAX, "%" PRId64 "us", us);
	else if (us < 1000000)
		snprintf(text, SHOW_TIME_MAX, us < 10000 ? "%.1fms" : "%.0fms",
		    (double)us / 1000);
	else if (s < 100)
		snprintf(text, SHOW_TIME_MAX, "%.1fs", (double)us / 1000000);
	else if (s < 6000)
		snprintf(text, SHOW_TIME_MAX, "%" PRId64 "m%02" PRId64 "s",
		    s / 60, s % 60);
	else if (s < 360000)
		snprintf(text, SHOW_TIME_MAX, "%" PRId64 "h%02" PRId64 "m",
		    s / 3600, s / 60 % 60);
	else
		snprintf(text, SHOW_TIME_MAX, "%" PRId64 "d%02" PRId64 "h",
		    s / 86400, s / 3600 % 24);
	return text;
}

static int64_t
number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *
word(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

static void
print_number(const json_t *object, const char *name, int width)
{
	char text[SHOW_NUMBER_MAX];

	printf(" %*s", width, show_number(number(object, name), text));
}

static void
print_leg(const json_t *flow, const char *name)
{
	const json_t *leg = json_object_get(flow, name);
	char text[SHOW_TIME_MAX];

	if (!json_is_object(leg))
		return;
	printf("  %-8s%-10s %7s", name, word(leg, "cc"),
	    show_time(number(leg, "rtt_us"), text));
	print_number(leg, "cwnd", 6);
	print_number(leg, "delivery_rate", 7);
	print_number(leg, "retrans", 7);
	print_number(leg, "unsent", 7);
	print_number(leg, "unread", 7);
	print_number(leg, "queued", 7);
	printf("  %s\n", word(leg, "limit"));
}

void
show_flow(const char *text, const json_t *flow)
{
	static bool told;
	char age[SHOW_TIME_MAX], idle[SHOW_TIME_MAX], way[128];

	(void)text;
	if (!told) {
		printf("%-8s %-12s %-43s %7s %7s  %-11s %-6s %5s %5s %7s %7s\n",
		    "ID", "POLICY", "CLIENT > DESTINATION", "AGE", "IDLE",
		    "STATE", "ENGINE", "UP", "DOWN", "UP/s", "DOWN/s");
		printf("  %-8s%-10s %7s %6s %7s %7s %7s %7s %7s  %s\n", "LEG",
		    "CC", "RTT", "CWND", "RATE", "RETRANS", "UNSENT", "UNREAD",
		    "QUEUED", "LIMITED BY");
	}
	told = true;
	snprintf(
	    way, sizeof(way), "%s > %s", word(flow, "src"), word(flow, "dst"));
	printf("%-8" PRId64 " %-12s %-43s %7s %7s  %-11s %-6s",
	    number(flow, "id"), word(flow, "policy"), way,
	    show_time(1000 * number(flow, "ms"), age),
	    show_time(1000 * number(flow, "idle_ms"), idle),
	    word(flow, "state"), word(flow, "engine"));
	print_number(flow, "up", 5);
	print_number(flow, "down", 5);
	print_number(flow, "rate_up", 7);
	print_number(flow, "rate_down", 7);
	putchar('\n');
	print_leg(flow, "client");
	print_leg(flow, "server");
}
