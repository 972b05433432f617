#include "conf/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct value_unit value_durations[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
	{ NULL, 0 }
};
const struct value_unit value_sizes[] = {
	{ "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 },
	{ NULL, 0 }
};
const struct value_unit value_rates[] = {
	{ "", 1 }, { "K", 1000 }, { "M", 1000000 }, { "G", 1000000000 },
	{ NULL, 0 }
};
/* clang-format on */

enum value_error
value_parse(const struct value_unit *units, const char *text, int64_t *value)
{
	const struct value_unit *unit;
	long long number;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return VALUE_NO_NUMBER;
	errno = 0;
	number = strtoll(text, &end, 10);
	*value = 0;
	if (!*end && !number)
		return VALUE_OK;
	for (unit = units; unit->name; unit++)
		if (!strcmp(unit->name, end))
			break;
	if (!unit->name)
		return *end ? VALUE_BAD_UNIT : VALUE_NO_UNIT;
	if (errno || __builtin_mul_overflow(number, unit->factor, value))
		return VALUE_TOO_LARGE;
	return VALUE_OK;
}

const char *
value_format(
    const struct value_unit *units, int64_t value, char text[VALUE_TEXT_MAX])
{
	const struct value_unit *best = units;

	if (!value)
		return strcpy(text, "0");
	for (const struct value_unit *unit = units; unit->name; unit++)
		if (value % unit->factor == 0)
			best = unit;
	snprintf(text, VALUE_TEXT_MAX, "%lld%s",
	    (long long)(value / best->factor), best->name);
	return text;
}
