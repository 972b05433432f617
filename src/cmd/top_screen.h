/* top_screen: the terminal of `unatatp top`, by ncurses. One at a time. */
#ifndef UNATATP_CMD_TOP_SCREEN_H
#define UNATATP_CMD_TOP_SCREEN_H

#include "cmd/top_frame.h"

/* What a key means that is no character. */
enum top_key {
	TOP_KEY_NONE = -1, /* none came in time */
	TOP_KEY_RESIZE = 0x110000,
	TOP_KEY_UP,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_ERASE,
	TOP_KEY_ESCAPE,
	TOP_KEY_OTHER,
};

/* 0, or -1 where standard output is no terminal that it can draw on. */
int top_screen_open(void);
void top_screen_close(void);

void top_screen_size(int *width, int *height);
void top_screen_show(const struct top_frame *f);

/* The next key within MS: a character, or one of enum top_key. */
int top_screen_key(int ms);

#endif
