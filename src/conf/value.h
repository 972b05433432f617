/*
 * value: numbers with a unit ("10s", "256K", "50M") to int64_t and back.
 * Pure functions; any thread.
 */
#ifndef UNATATP_CONF_VALUE_H
#define UNATATP_CONF_VALUE_H

#include <stdint.h>

#define VALUE_TEXT_MAX 32

/* Ascending factors; the name "" is that of a number without a unit. */
struct value_unit {
	const char *name;
	int64_t factor;
};

/* Each ends with a NULL name. */
extern const struct value_unit value_durations[]; /* milliseconds */
extern const struct value_unit value_sizes[];	  /* bytes */
extern const struct value_unit value_rates[];	  /* bits a second */

enum value_error {
	VALUE_OK = 0,
	VALUE_NO_NUMBER,
	VALUE_NO_UNIT,
	VALUE_BAD_UNIT,
	VALUE_TOO_LARGE,
};

/* "0" needs no unit. */
__attribute__((warn_unused_result)) enum value_error value_parse(
    const struct value_unit *units, const char *text, int64_t *value);

/* With the largest unit that leaves no remainder; returns TEXT. */
const char *value_format(
    const struct value_unit *units, int64_t value, char text[VALUE_TEXT_MAX]);

#endif
