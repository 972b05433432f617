/*
 * request: one line that came over the control socket, taken apart into
 * words. The line stays the caller's, and must outlive the request.
 */
#ifndef UNATATP_DAEMON_REQUEST_H
#define UNATATP_DAEMON_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_WORDS 16

struct request {
	const char *words[REQUEST_WORDS];
	size_t n;
};

/* Cuts LINE at its blanks. False: more than REQUEST_WORDS words. */
bool request_parse(struct request *r, char *line);

/*
 * How many words NAME ("show flows": two) has, when R begins with them;
 * 0 when it begins otherwise.
 */
size_t request_match(const struct request *r, const char *name);

/* What follows KEY= in R; NULL when no word begins so. */
const char *request_value(const struct request *r, const char *key);

/* TEXT as a number from LOW to HIGH. False: it is none. */
bool request_number(
    const char *text, uint64_t low, uint64_t high, uint64_t *number);

#endif
