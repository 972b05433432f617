/*
 * trim: gives memory back to the kernel once a burst is over. By itself
 * glibc keeps every page of a heap that lies below a newer allocation, so
 * that one long flow would hold what thousands of short ones needed.
 * Main's thread owns it.
 */
#ifndef UNATATP_DAEMON_TRIM_H
#define UNATATP_DAEMON_TRIM_H

struct daemon;
struct trim;

/* Looks every second at what D's workers hold. NULL with errno. */
struct trim *trim_new(const struct daemon *d);

/* NULL is allowed. */
void trim_free(struct trim *t);

#endif
