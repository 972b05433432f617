/*
 * top_frame: one screen of `unatatp top` as lines of styled pieces of text,
 * whatever shows them: a terminal or standard output. The caller owns it.
 */
#ifndef UNATATP_CMD_TOP_FRAME_H
#define UNATATP_CMD_TOP_FRAME_H

#include <stddef.h>

enum top_style {
	TOP_PLAIN,
	TOP_TITLE,   /* the line of what the daemon is */
	TOP_HEAD,    /* the names of columns */
	TOP_SORTED,  /* the column that the flows are sorted by */
	TOP_FAINT,   /* what matters less */
	TOP_SLOW,    /* the leg that holds a flow back */
	TOP_WARNING, /* what needs a person */
	TOP_STYLES,
};

struct top_piece {
	enum top_style style;
	int line, column; /* from 0 */
	char text[512];	  /* as wide as a screen may be */
};

/* Pieces come in the order of lines and columns. */
struct top_frame {
	int width, height;
	int line, column; /* where the next piece goes */
	struct top_piece *pieces;
	size_t n, room;
};

/* Begins an empty frame of this size; top_frame_clear frees it. */
void top_frame_begin(struct top_frame *f, int width, int height);
void top_frame_clear(struct top_frame *f);

/*
 * Adds text to the line; what exceeds the width is cut, and what memory
 * or the height has no room for is left out.
 */
__attribute__((format(printf, 3, 4))) void top_frame_add(
    struct top_frame *f, enum top_style style, const char *format, ...);

void top_frame_next_line(struct top_frame *f);

/* How many lines are left, this one included. */
int top_frame_left(const struct top_frame *f);

/* The frame as plain lines on standard output. */
void top_frame_print(const struct top_frame *f);

#endif
