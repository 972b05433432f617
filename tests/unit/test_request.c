/* Requests of the control socket, taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/request.h"

static struct request
parse(char *line)
{
	struct request r;

	assert_true(request_parse(&r, line));
	return r;
}

static void
on_words(void **state)
{
	char line[] = "\t show   flows limit=10 policy= a=b=c ",
	     blank[] = " \t";
	struct request r = parse(line);

	(void)state;
	assert_int_equal(r.n, 5);
	assert_string_equal(r.words[0], "show");
	assert_string_equal(r.words[4], "a=b=c");
	assert_string_equal(request_value(&r, "limit"), "10");
	assert_string_equal(request_value(&r, "policy"), "");
	assert_string_equal(request_value(&r, "a"), "b=c");
	assert_null(request_value(&r, "lim"));
	assert_null(request_value(&r, "limits"));
	assert_null(request_value(&r, "show"));
	r = parse(blank);
	assert_int_equal(r.n, 0);
	assert_int_equal(request_match(&r, "show"), 0);
}

static void
on_too_many_words(void **state)
{
	char line[4 * REQUEST_WORDS + 4] = "";
	struct request r;

	(void)state;
	for (int i = 0; i < REQUEST_WORDS; i++)
		strcat(line, "a ");
	r = parse(line);
	assert_int_equal(r.n, REQUEST_WORDS);
	line[0] = '\0';
	for (int i = 0; i <= REQUEST_WORDS; i++)
		strcat(line, "a ");
	assert_false(request_parse(&r, line));
}

static void
on_match(void **state)
{
	char two[] = "show flows x", one[] = "show", longer[] = "showing flows";
	char prefix[] = "sho flows";
	struct request r = parse(two);

	(void)state;
	assert_int_equal(request_match(&r, "show flows"), 2);
	assert_int_equal(request_match(&r, "show"), 1);
	assert_int_equal(request_match(&r, "show flow"), 0);
	assert_int_equal(request_match(&r, "show flowsy"), 0);
	r = parse(one);
	assert_int_equal(request_match(&r, "show flows"), 0);
	r = parse(longer);
	assert_int_equal(request_match(&r, "show flows"), 0);
	r = parse(prefix);
	assert_int_equal(request_match(&r, "show flows"), 0);
}

static void
on_number(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x10",
		"1.0", "99999999999999999999", "11", "0" };
	uint64_t n = 0;

	(void)state;
	assert_true(request_number("10", 1, 10, &n));
	assert_int_equal(n, 10);
	assert_true(request_number("18446744073709551615", 1, UINT64_MAX, &n));
	assert_true(n == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(request_number(bad[i], 1, 10, &n));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_words),
		cmocka_unit_test(on_too_many_words),
		cmocka_unit_test(on_match),
		cmocka_unit_test(on_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
