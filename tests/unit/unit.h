/* What the unit tests share: cmocka's headers in its order, helpers. */
#ifndef UNATATP_UNIT_H
#define UNATATP_UNIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "conf/conf.h"

/* Parses, or fails the test. */
struct addr unit_addr(const char *text, uint16_t port);
struct prefix unit_prefix(const char *text);

/* The same numbers in each run. */
uint32_t unit_random(void);

/* Nanoseconds of CPU that this program has used: others do not count. */
double unit_cpu_ns(void);

/* Whether a sanitizer or valgrind makes that many times as much. */
bool unit_is_slow(void);

/*
 * Reads TEXT as a file called "FILE". What was found, a line each, goes
 * to SAID until the next call. NULL when there was an error.
 */
struct conf *unit_conf(const char *text, const struct conf_override *over);
extern char unit_said[65536];

/* A good one, or the test fails. */
struct conf *unit_good_conf(const char *text);

/* What conf_print writes; the caller frees it. */
char *unit_print(const struct conf *conf);

#endif
