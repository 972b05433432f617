#include "cmd/top_screen.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static attr_t attributes[TOP_STYLES] = {
	[TOP_TITLE] = A_BOLD,
	[TOP_HEAD] = A_REVERSE,
	[TOP_SORTED] = A_REVERSE | A_BOLD | A_UNDERLINE,
	[TOP_FAINT] = A_DIM,
	[TOP_SLOW] = A_BOLD,
	[TOP_WARNING] = A_BOLD,
};

static SCREEN *screen;

/* NO_COLOR asks every program for none. */
static void
add_colours(void)
{
	const char *none = getenv("NO_COLOR");

	if ((none && *none) || !has_colors() || start_color() == ERR ||
	    use_default_colors() == ERR)
		return;
	init_pair(1, COLOR_RED, -1);
	init_pair(2, COLOR_YELLOW, -1);
	attributes[TOP_SLOW] = A_BOLD | COLOR_PAIR(1);
	attributes[TOP_WARNING] = A_BOLD | COLOR_PAIR(2);
}

int
top_screen_open(void)
{
	if (!isatty(STDOUT_FILENO))
		return -1;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -1;
	set_term(screen);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	add_colours();
	return 0;
}

void
top_screen_close(void)
{
	endwin();
	delscreen(screen);
}

void
top_screen_size(int *width, int *height)
{
	getmaxyx(stdscr, *height, *width);
}

void
top_screen_show(const struct top_frame *f)
{
	erase();
	for (size_t i = 0; i < f->n; i++) {
		const struct top_piece *p = &f->pieces[i];

		attrset((int)attributes[p->style]);
		mvaddstr(p->line, p->column, p->text);
	}
	attrset(A_NORMAL);
	refresh();
}

static const struct {
	int curses, key;
} keys[] = {
	{ ERR, TOP_KEY_NONE },
	{ KEY_RESIZE, TOP_KEY_RESIZE },
	{ KEY_UP, TOP_KEY_UP },
	{ KEY_DOWN, TOP_KEY_DOWN },
	{ KEY_PPAGE, TOP_KEY_PAGE_UP },
	{ KEY_NPAGE, TOP_KEY_PAGE_DOWN },
	{ KEY_HOME, TOP_KEY_HOME },
	{ KEY_BACKSPACE, TOP_KEY_ERASE },
	{ 127, TOP_KEY_ERASE },
	{ 8, TOP_KEY_ERASE },
	{ 27, TOP_KEY_ESCAPE },
};

int
top_screen_key(int ms)
{
	int key;

	timeout(ms);
	key = getch();
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (key == keys[i].curses)
			return keys[i].key;
	return key < 256 ? key : TOP_KEY_OTHER;
}
