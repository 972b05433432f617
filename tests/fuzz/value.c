/* Durations, sizes, rates, and the numbers of requests. */
#include "conf/value.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/request.h"
#include "fuzz.h"

/* What was taken is written so that it is taken as the same again. */
static void
there_and_back(const struct value_unit *units, const char *text)
{
	char printed[VALUE_TEXT_MAX];
	int64_t value, again;

	if (value_parse(units, text, &value) != VALUE_OK)
		return;
	FUZZ_CHECK(value >= 0);
	value_format(units, value, printed);
	FUZZ_CHECK(strlen(printed) < VALUE_TEXT_MAX - 1);
	FUZZ_CHECK(value_parse(units, printed, &again) == VALUE_OK);
	FUZZ_CHECK(again == value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	uint64_t number;

	there_and_back(value_durations, text);
	there_and_back(value_sizes, text);
	there_and_back(value_rates, text);
	if (request_number(text, 3, UINT32_MAX, &number))
		FUZZ_CHECK(number >= 3 && number <= UINT32_MAX);
	free(text);
	return 0;
}
