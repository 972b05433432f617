/* `unatatp top`: asks once a second, draws, and obeys keys. */
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cmd/ask.h"
#include "cmd/command.h"
#include "cmd/top_frame.h"
#include "cmd/top_screen.h"
#include "cmd/top_view.h"

#define PERIOD_MS 1000
#define MOST_FLOWS 1000 /* enough to scroll and filter in */

/* What --once draws on. */
#define ONCE_WIDTH 120
#define ONCE_HEIGHT 40

struct top {
	const struct args *args;
	struct top_view view;
	struct top_answers answers;
	struct top_frame frame;
};

static volatile sig_atomic_t ended;

static void
on_signal(int number)
{
	(void)number;
	ended = 1;
}

static void
keep(void *arg, const char *text, const json_t *object)
{
	(void)text;
	json_array_append(arg, (json_t *)(uintptr_t)object);
}

/* Asks anew for *LIST; on failure it stays as it was. The exit status. */
static int
renew(struct top *t, json_t **list, const char *request)
{
	json_t *fresh = json_array();
	char word[ASK_WORD_MAX] = "out of memory";
	int status = COMMAND_FAILURE;

	if (fresh)
		status = ask_quietly(t->args, request, keep, fresh, word);
	if (status) {
		snprintf(t->view.trouble, sizeof(t->view.trouble), "%s", word);
		json_decref(fresh);
		return status;
	}
	json_decref(*list);
	*list = fresh;
	return 0;
}

static int
look(struct top *t)
{
	char request[64];
	time_t now = time(NULL);
	struct tm tm;
	int status;

	snprintf(request, sizeof(request), "show flows sort=%s limit=%d",
	    top_sort_word(t->view.sort), MOST_FLOWS);
	*t->view.trouble = '\0';
	status = renew(t, &t->answers.stats, "show stats");
	if (!status)
		status = renew(t, &t->answers.policies, "show policies");
	if (!status)
		status = renew(t, &t->answers.flows, request);
	if (!status && localtime_r(&now, &tm))
		strftime(t->view.clock, sizeof(t->view.clock), "%T", &tm);
	return status;
}

static void
draw(struct top *t)
{
	int width, height;

	top_screen_size(&width, &height);
	top_frame_begin(&t->frame, width, height);
	top_view_draw(&t->view, &t->answers, &t->frame);
	top_screen_show(&t->frame);
}

/* --- keys ---------------------------------------------------------- */

/* The filter is being typed: KEY is part of it, or ends it. */
static void
type(struct top_view *view, int key)
{
	size_t len = strlen(view->filter);

	if (key == '\n' || key == '\r')
		view->typing = false;
	if (key == TOP_KEY_ESCAPE) {
		view->typing = false;
		*view->filter = '\0';
	}
	if (key == TOP_KEY_ERASE && len)
		view->filter[len - 1] = '\0';
	if (key > ' ' && key < 127 && len + 1 < sizeof(view->filter)) {
		view->filter[len] = (char)key;
		view->filter[len + 1] = '\0';
	}
	view->first = 0;
}

static void
scroll(struct top *t, int lines)
{
	size_t most = top_view_count(&t->view, t->answers.flows);
	struct top_view *view = &t->view;

	if (lines < 0 && view->first < (size_t)-lines)
		view->first = 0;
	else
		view->first += (size_t)lines;
	if (view->first >= most)
		view->first = most ? most - 1 : 0;
}

static const struct {
	int key;
	enum top_sort sort;
} orders[] = {
	{ 'r', TOP_BY_RATE },
	{ 'a', TOP_BY_AGE },
	{ 't', TOP_BY_RETRANS },
};

static const struct {
	int key, lines;
} ways[] = {
	{ TOP_KEY_UP, -1 },
	{ TOP_KEY_DOWN, 1 },
	{ TOP_KEY_PAGE_UP, -20 },
	{ TOP_KEY_PAGE_DOWN, 20 },
};

/* True when the daemon is to be asked again at once. */
static bool
obey(struct top *t, int key)
{
	struct top_view *view = &t->view;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (key == ways[i].key)
			scroll(t, ways[i].lines);
	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		if (key == orders[i].key) {
			view->sort = orders[i].sort;
			view->first = 0;
			return !view->paused;
		}
	if (key == TOP_KEY_HOME)
		view->first = 0;
	if (key == '/')
		view->typing = true;
	if (key == TOP_KEY_ESCAPE)
		*view->filter = '\0';
	if (key == 'p' || key == ' ')
		view->paused = !view->paused;
	if (key == 'h' || key == '?')
		view->help = true;
	if (key == 'q')
		ended = 1;
	return false;
}

static bool
press(struct top *t, int key)
{
	if (key == TOP_KEY_NONE || key == TOP_KEY_RESIZE)
		return false;
	if (t->view.typing) {
		type(&t->view, key);
		return false;
	}
	if (t->view.help) {
		t->view.help = false;
		return false;
	}
	return obey(t, key);
}

/* --- the two forms ------------------------------------------------- */

static int
watch(struct top *t)
{
	int64_t next = clock_ms() + PERIOD_MS;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGHUP, on_signal);
	if (top_screen_open()) {
		fprintf(stderr,
		    "unatatp: top wants a terminal (--once prints one "
		    "frame)\n");
		return COMMAND_FAILURE;
	}
	while (!ended) {
		int64_t left = next - clock_ms();

		draw(t);
		if (press(t, top_screen_key(left > 0 ? (int)left : 0)))
			next = clock_ms();
		if (clock_ms() < next)
			continue;
		if (!t->view.paused)
			look(t);
		next = clock_ms() + PERIOD_MS;
	}
	top_screen_close();
	return COMMAND_GOOD;
}

static int
print_once(struct top *t)
{
	top_frame_begin(&t->frame, ONCE_WIDTH, ONCE_HEIGHT);
	top_view_draw(&t->view, &t->answers, &t->frame);
	top_frame_print(&t->frame);
	if (!fflush(stdout) && !ferror(stdout))
		return COMMAND_GOOD;
	perror("unatatp: cannot write");
	return COMMAND_FAILURE;
}

int
cmd_top(const struct args *args)
{
	struct top t = { .args = args };
	int status;

	setlocale(LC_ALL, "");
	status = look(&t);
	if (status)
		fprintf(stderr, "%s\n", t.view.trouble);
	else if (args->once)
		status = print_once(&t);
	else
		status = watch(&t);
	json_decref(t.answers.stats);
	json_decref(t.answers.policies);
	json_decref(t.answers.flows);
	top_frame_clear(&t.frame);
	return status;
}
