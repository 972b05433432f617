/*
 * trim: gives memory back to the kernel once a burst is over. By itself
 * glibc keeps every page of a heap that lies below a newer allocation, so
 * that one long flow would hold what thousands of short ones needed.
 * Main's thread owns it.
 */
#ifndef UNATATP_DAEMON_TRIM_H
#define UNATATP_DAEMON_TRIM_H

#include <stdint.h>

struct daemon;

struct trim {
	uint64_t high; /* the most held since memory was given back, bytes */
};

/* Looks at what D's workers hold; every second or so. */
void trim_look(struct trim *t, const struct daemon *d);

#endif
