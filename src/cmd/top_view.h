/*
 * top_view: what `unatatp top` shows of the daemon's answers: who the
 * daemon is, its policies, and the busiest flows with both legs.
 */
#ifndef UNATATP_CMD_TOP_VIEW_H
#define UNATATP_CMD_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "cmd/top_frame.h"

#define TOP_FILTER_MAX 64

/* The daemon's answers: arrays of the objects that `show` tells of. */
struct top_answers {
	json_t *stats, *policies, *flows;
};

enum top_sort { TOP_BY_RATE, TOP_BY_AGE, TOP_BY_RETRANS, TOP_SORTS };

/* What the keys change. */
struct top_view {
	enum top_sort sort;
	char filter[TOP_FILTER_MAX]; /* part of an address or a policy */
	bool typing;		     /* the filter is being typed */
	bool paused, help;
	size_t first;	   /* flows that have scrolled away */
	char trouble[256]; /* why the answers are old; "": they are not */
	char clock[16];	   /* "18:24:05" */
};

/* The word that `show flows` knows SORT by. */
const char *top_sort_word(enum top_sort sort);

/* How many FLOWS the filter lets through. */
size_t top_view_count(const struct top_view *view, const json_t *flows);

/* Draws ANSWERS into F, which has its size. */
void top_view_draw(const struct top_view *view,
    const struct top_answers *answers, struct top_frame *f);

#endif
