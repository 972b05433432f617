#include "cmd/top_view.h"

#include <stdio.h>
#include <string.h>

#include "cmd/show_flow.h"

static const char *const sorts[TOP_SORTS] = {
	[TOP_BY_RATE] = "rate",
	[TOP_BY_AGE] = "age",
	[TOP_BY_RETRANS] = "retrans",
};

const char *
top_sort_word(enum top_sort sort)
{
	return sorts[sort];
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

/* --- the flows' columns -------------------------------------------- */

enum cell_kind { CELL_WORD, CELL_NUMBER, CELL_RATES, CELL_US, CELL_MS };

/* A column, and the widths of the screen that it is for. */
struct column {
	const char *title;
	const char *leg; /* of the flow; NULL: the flow's own */
	const char *name;
	enum cell_kind kind;
	int width;	 /* negative: at the left; 0: shares what is left */
	int from, below; /* 0: any */
	int sort;	 /* enum top_sort, or -1 */
};

#define NARROW 92 /* below it both rates share a column */

/* clang-format off */
static const struct column columns[] = {
	{ "CLIENT", NULL, "src", CELL_WORD, 0, 0, 0, -1 },
	{ "SERVER", NULL, "dst", CELL_WORD, 0, 0, 0, -1 },
	{ "POLICY", NULL, "policy", CELL_WORD, -12, 126, 0, -1 },
	{ "AGE", NULL, "ms", CELL_MS, 6, 112, 0, TOP_BY_AGE },
	{ "BIT/s", NULL, "", CELL_RATES, 6, 0, NARROW, TOP_BY_RATE },
	{ "UP/s", NULL, "rate_up", CELL_NUMBER, 6, NARROW, 0, TOP_BY_RATE },
	{ "DOWN/s", NULL, "rate_down", CELL_NUMBER, 6, NARROW, 0, TOP_BY_RATE },
	{ "client:", "client", "cc", CELL_WORD, -7, 0, 0, -1 },
	{ "RTT", "client", "rtt_us", CELL_US, 6, 0, 0, -1 },
	{ "RETR", "client", "retrans", CELL_NUMBER, 5, 0, 0, TOP_BY_RETRANS },
	{ "server:", "server", "cc", CELL_WORD, -7, 0, 0, -1 },
	{ "RTT", "server", "rtt_us", CELL_US, 6, 0, 0, -1 },
	{ "RETR", "server", "retrans", CELL_NUMBER, 5, 0, 0, TOP_BY_RETRANS },
	{ "SLOW", NULL, "slow", CELL_WORD, -6, 0, 0, -1 },
};
/* clang-format on */

#define COLUMNS (sizeof(columns) / sizeof(*columns))
#define NARROWEST 10 /* of the columns that share */

static bool
is_shown(const struct column *c, int width)
{
	return width >= c->from && (!c->below || width < c->below);
}

/* What each of the sharing columns gets on a screen of WIDTH. */
static int
share(int width)
{
	int left = width, sharing = 0;

	for (size_t i = 0; i < COLUMNS; i++) {
		int own = columns[i].width;

		if (!is_shown(&columns[i], width))
			continue;
		left -= (own < 0 ? -own : own) + (i ? 1 : 0);
		sharing += !own;
	}
	return left / sharing > NARROWEST ? left / sharing : NARROWEST;
}

/* The leg that everybody should look at. */
static bool
is_slow(const json_t *flow, const struct column *c)
{
	const char *slow = word(flow, "slow");

	if (!c->leg)
		return !strcmp(c->name, "slow") && strcmp(slow, "-");
	return !strcmp(slow, "both") || !strcmp(slow, c->leg);
}

static const char *
cell(const json_t *flow, const struct column *c, char text[SHOW_TIME_MAX])
{
	const json_t *holder = c->leg ? json_object_get(flow, c->leg) : flow;

	if (c->leg && !json_is_object(holder))
		return "-";
	switch (c->kind) {
	case CELL_NUMBER:
		return show_number(number(holder, c->name), text);
	case CELL_RATES:
		return show_number(
		    number(holder, "rate_up") + number(holder, "rate_down"),
		    text);
	case CELL_US:
		return show_time(number(holder, c->name), text);
	case CELL_MS:
		return show_time(1000 * number(holder, c->name), text);
	default:
		return word(holder, c->name);
	}
}

/*
 * A negative WIDTH: at the left. What was cut off shows as a tilde; of an
 * IPv6 address it is the front, since hosts differ in the rest.
 */
static void
add_cell(struct top_frame *f, enum top_style style, int width, const char *text)
{
	int room = width < 0 ? -width : width, len = (int)strlen(text);

	if (len > room && *text == '[')
		top_frame_add(f, style, "~%s", text + len - room + 1);
	else if (len > room)
		top_frame_add(f, style, "%.*s~", room - 1, text);
	else
		top_frame_add(f, style, "%*s", width, text);
}

/* FLOW's line; NULL: the line of titles. */
static void
draw_flow(struct top_frame *f, const struct top_view *view, const json_t *flow)
{
	int shared = share(f->width);

	for (size_t i = 0; i < COLUMNS; i++) {
		const struct column *c = &columns[i];
		int width = c->width ? c->width : -shared;
		enum top_style style = TOP_PLAIN;
		char text[SHOW_TIME_MAX];

		if (!is_shown(c, f->width))
			continue;
		if (flow && is_slow(flow, c))
			style = TOP_SLOW;
		if (!flow)
			style =
			    c->sort == (int)view->sort ? TOP_SORTED : TOP_HEAD;
		if (i)
			top_frame_add(f, flow ? TOP_PLAIN : TOP_HEAD, " ");
		add_cell(
		    f, style, width, flow ? cell(flow, c, text) : c->title);
	}
	top_frame_next_line(f);
}

static bool
passes(const struct top_view *view, const json_t *flow)
{
	return !*view->filter || strstr(word(flow, "src"), view->filter) ||
	    strstr(word(flow, "dst"), view->filter) ||
	    strstr(word(flow, "policy"), view->filter);
}

size_t
top_view_count(const struct top_view *view, const json_t *flows)
{
	size_t n = 0, i;
	json_t *flow;

	json_array_foreach(flows, i, flow) n += passes(view, flow);
	return n;
}

static void
draw_flows(struct top_frame *f, const struct top_view *view,
    const json_t *flows, int lines)
{
	size_t skipped = 0, i;
	json_t *flow;

	draw_flow(f, view, NULL);
	json_array_foreach(flows, i, flow)
	{
		if (!passes(view, flow) || skipped++ < view->first)
			continue;
		if (--lines < 1)
			return;
		draw_flow(f, view, flow);
	}
}

/* --- the policies -------------------------------------------------- */

#define POLICY "%-20.20s %7s %7s %7s %7s %7s %8s  %s"

/* The most frequent ending that is no FIN, with its count. */
static const char *
worst_ending(const json_t *policy, char text[TOP_FILTER_MAX])
{
	const char *name;
	json_t *count;
	json_int_t most = 0;

	*text = '\0';
	json_object_foreach(json_object_get(policy, "endings"), name, count)
	{
		size_t len = strlen(name);
		json_int_t n = json_integer_value(count);

		if (n <= most || (len > 4 && !strcmp(name + len - 4, "-fin")))
			continue;
		most = n;
		snprintf(text, TOP_FILTER_MAX, "%s %lld", name, (long long)n);
	}
	return text;
}

/* The share of segments sent again, "-" where none were sent. */
static void
format_share(char text[16], const json_t *leg)
{
	double segments = (double)number(leg, "segments");

	if (segments > 0)
		snprintf(text, 16, "%.2f%%",
		    100.0 * (double)number(leg, "retrans") / segments);
	else
		strcpy(text, "-");
}

static double
rate(const json_t *policy, const char *name)
{
	const json_t *rates = json_object_get(policy, "rates");

	return json_number_value(
	    json_object_get(json_object_get(rates, "1s"), name));
}

static void
draw_policy(struct top_frame *f, const json_t *p)
{
	const json_t *client = json_object_get(p, "client");
	int64_t rtt = number(json_object_get(client, "rtt_us"), "p50");
	char flows[SHOW_NUMBER_MAX], fresh[SHOW_NUMBER_MAX];
	char up[SHOW_NUMBER_MAX], down[SHOW_NUMBER_MAX];
	char time[SHOW_TIME_MAX], share_text[16], ending[TOP_FILTER_MAX];

	format_share(share_text, client);
	top_frame_add(f, TOP_PLAIN, POLICY, word(p, "policy"),
	    show_number(number(p, "flows_active"), flows),
	    show_number((int64_t)(rate(p, "flows") + 0.5), fresh),
	    show_number((int64_t)rate(p, "up"), up),
	    show_number((int64_t)rate(p, "down"), down),
	    rtt ? show_time(rtt, time) : "-", share_text,
	    worst_ending(p, ending));
	top_frame_next_line(f);
}

static void
draw_policies(struct top_frame *f, const json_t *policies, int lines)
{
	size_t i;
	json_t *policy;

	top_frame_add(f, TOP_HEAD, POLICY, "POLICY", "FLOWS", "NEW/s", "UP/s",
	    "DOWN/s", "RTT", "RETRANS", "MOSTLY CUT BY");
	add_cell(f, TOP_HEAD, -(f->width - f->column), "");
	top_frame_next_line(f);
	json_array_foreach(policies, i, policy)
	{
		if (--lines < 1)
			return;
		draw_policy(f, policy);
	}
}

/* --- the whole ----------------------------------------------------- */

static void
draw_title(
    struct top_frame *f, const struct top_view *view, const json_t *stats)
{
	char up[SHOW_TIME_MAX], opened[SHOW_NUMBER_MAX];

	top_frame_add(f, TOP_TITLE,
	    "unatatp %s  up %s  flows %lld  since the start %s  workers %lld",
	    word(stats, "version"),
	    show_time(1000 * number(stats, "uptime_ms"), up),
	    (long long)number(stats, "flows_active"),
	    show_number(number(stats, "flows_opened"), opened),
	    (long long)number(stats, "workers"));
	if (json_is_true(json_object_get(stats, "draining")))
		top_frame_add(f, TOP_WARNING, "  draining");
	if (view->paused)
		top_frame_add(f, TOP_WARNING, "  paused");
	if (*view->filter || view->typing)
		top_frame_add(f, TOP_WARNING, "  filter: %s%s", view->filter,
		    view->typing ? "_" : "");
	add_cell(f, TOP_TITLE, f->width - f->column, view->clock);
	top_frame_next_line(f);
	top_frame_add(f, TOP_WARNING, "%s", view->trouble);
	top_frame_next_line(f);
}

static const char *const help[] = {
	"",
	"  r a t      sort the flows by rate, age, retransmissions",
	"  /          show only flows with this in an address or the policy",
	"  p, space   pause",
	"  up, down, PgUp, PgDn, Home   scroll through the flows",
	"  h, ?       this; any key leaves it",
	"  q          end",
	"",
	"  Rates are bits a second. SLOW names the leg that bytes wait for and",
	"  its figures stand out: its path, or its peer, takes less than the",
	"  other leg brings. RETR: segments sent again since the flow began.",
};

void
top_view_draw(const struct top_view *view, const struct top_answers *answers,
    struct top_frame *f)
{
	int policies = (int)json_array_size(answers->policies) + 1;

	draw_title(f, view, json_array_get(answers->stats, 0));
	if (view->help) {
		for (size_t i = 0; i < sizeof(help) / sizeof(*help); i++) {
			top_frame_add(f, TOP_PLAIN, "%s", help[i]);
			top_frame_next_line(f);
		}
		return;
	}
	if (policies > top_frame_left(f) / 2)
		policies = top_frame_left(f) / 2;
	draw_policies(f, answers->policies, policies);
	top_frame_next_line(f);
	draw_flows(f, view, answers->flows, top_frame_left(f));
}
