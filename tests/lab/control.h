/*
 * control: the words that change the link, on the command line and, while
 * it runs, a line at a time on standard input. Each command is answered by
 * one line of JSON.
 */
#ifndef UNATATP_LAB_CONTROL_H
#define UNATATP_LAB_CONTROL_H

#include "tally.h"
#include "tun.h"
#include "wire.h"

enum { LINK_UP, LINK_DOWN, LINK_WAYS }; /* from the first end, and back */

struct link {
	struct tun ends[LINK_WAYS]; /* a wire begins at its own end */
	struct wire wires[LINK_WAYS];
	struct tally tally;
};

uint64_t link_drops(const struct link *l);

/*
 * Applies words such as "down" "rate=50M" "loss=0.01": from `up', `down' or
 * `both' on, that direction is meant. All or nothing. NULL, or what is
 * wrong, which lives until the next call.
 */
const char *control_apply(struct link *l, char *words[], size_t n);

/* Carries out LINE and answers on standard output. */
void control_line(struct link *l, char *line);

#endif
