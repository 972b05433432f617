#include "conf/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/suggest.h"
#include "conf/value.h"
#include "unit.h"

static void
test_values(void **state)
{
	static const struct {
		const struct value_unit *units;
		const char *text;
		enum value_error error;
		int64_t value;
		const char *again; /* NULL: as it was */
	} cases[] = {
		{ value_durations, "500ms", VALUE_OK, 500, NULL },
		{ value_durations, "10s", VALUE_OK, 10000, NULL },
		{ value_durations, "5m", VALUE_OK, 300000, NULL },
		{ value_durations, "2h", VALUE_OK, 7200000, NULL },
		{ value_durations, "0", VALUE_OK, 0, NULL },
		{ value_durations, "0s", VALUE_OK, 0, "0" },
		{ value_durations, "60s", VALUE_OK, 60000, "1m" },
		{ value_durations, "61s", VALUE_OK, 61000, NULL },
		{ value_durations, "10", VALUE_NO_UNIT, 0, NULL },
		{ value_durations, "10d", VALUE_BAD_UNIT, 0, NULL },
		{ value_durations, "10S", VALUE_BAD_UNIT, 0, NULL },
		{ value_durations, "10 s", VALUE_BAD_UNIT, 0, NULL },
		{ value_durations, "1.5s", VALUE_BAD_UNIT, 0, NULL },
		{ value_durations, "10s ", VALUE_BAD_UNIT, 0, NULL },
		{ value_durations, "", VALUE_NO_NUMBER, 0, NULL },
		{ value_durations, "s", VALUE_NO_NUMBER, 0, NULL },
		{ value_durations, "-1s", VALUE_NO_NUMBER, 0, NULL },
		{ value_durations, "+1s", VALUE_NO_NUMBER, 0, NULL },
		{ value_durations, " 1s", VALUE_NO_NUMBER, 0, NULL },
		{ value_durations, "0x1s", VALUE_BAD_UNIT, 0, NULL },
		{ value_durations, "2562047788015h", VALUE_OK,
		    2562047788015 * 3600000, NULL },
		{ value_durations, "2562047788016h", VALUE_TOO_LARGE, 0, NULL },
		{ value_durations, "99999999999999999999ms", VALUE_TOO_LARGE, 0,
		    NULL },
		{ value_sizes, "256K", VALUE_OK, 262144, NULL },
		{ value_sizes, "4M", VALUE_OK, 4194304, NULL },
		{ value_sizes, "3G", VALUE_OK, 3221225472, NULL },
		{ value_sizes, "1000", VALUE_OK, 1000, NULL },
		{ value_sizes, "4096", VALUE_OK, 4096, "4K" },
		{ value_sizes, "4k", VALUE_BAD_UNIT, 0, NULL },
		{ value_sizes, "99999999999999999999", VALUE_TOO_LARGE, 0,
		    NULL },
		{ value_rates, "50M", VALUE_OK, 50000000, NULL },
		{ value_rates, "1024", VALUE_OK, 1024, NULL },
		{ value_rates, "1G", VALUE_OK, 1000000000, NULL },
		{ value_rates, "9300000000G", VALUE_TOO_LARGE, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char again[VALUE_TEXT_MAX];
		int64_t value = 0;

		if (value_parse(cases[i].units, cases[i].text, &value) !=
		    cases[i].error)
			fail_msg("\"%s\"", cases[i].text);
		if (cases[i].error)
			continue;
		if (value != cases[i].value)
			fail_msg(
			    "\"%s\" is %lld", cases[i].text, (long long)value);
		assert_string_equal(value_format(cases[i].units, value, again),
		    cases[i].again ? cases[i].again : cases[i].text);
	}
}

static const char *
nearest(const char *word)
{
	static const char *const words[] = { "congestion", "congestion_missing",
		"mss", "mark", "dscp", "client" };
	struct suggest s = suggest_for(word);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		suggest_offer(&s, words[i]);
	return s.best ? s.best : "";
}

static void
test_suggestions(void **state)
{
	char long_word[200];

	(void)state;
	assert_string_equal(nearest("congeston"), "congestion");
	assert_string_equal(nearest("congesiton"), "congestion");
	assert_string_equal(nearest("conjestoin"), "congestion");
	assert_string_equal(nearest("congestion_mising"), "congestion_missing");
	assert_string_equal(nearest("cleint"), "client");
	assert_string_equal(nearest("mrk"), "mark");
	assert_string_equal(nearest("msss"), "mss");
	assert_string_equal(nearest("mtu"), "");
	assert_string_equal(nearest("port"), "");
	assert_string_equal(nearest(""), "");
	memset(long_word, 'c', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_string_equal(nearest(long_word), "");
}

/* The table keeps its own rules. */
static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];
		size_t len = strlen(row->help);

		if (option_find(row->scope, row->name) != row)
			fail_msg("%s is there twice", row->name);
		assert_non_null(option_place(row->scope));
		assert_non_null(option_type_text(row->type));
		assert_true(row->min <= row->max);
		assert_true(row->type != OPTION_WORD || row->words);
		if (len < 10 || len > 70 || row->help[len - 1] != '.')
			fail_msg("%s: %s", row->name, row->help);
		/* Only a name must be given. */
		if (!row->initial && row->type != OPTION_GROUP)
			assert_string_equal(row->name, "name");
	}
	assert_null(option_find(OPTION_IN_TOP, "mss"));
	assert_int_equal(option_find_elsewhere("mss")->scope, OPTION_IN_LEG);
	assert_null(option_find_elsewhere("nosuch"));
}

static void
test_ranges(void **state)
{
	const struct option_row *port, *mss, *buffer;
	char text[OPTION_RANGE_MAX];

	(void)state;
	port = option_find(OPTION_IN_LISTEN, "port");
	mss = option_find(OPTION_IN_LEG, "mss");
	buffer = option_find(OPTION_IN_POLICY, "buffer");
	assert_string_equal(option_range(port, text), "1 to 65535");
	assert_string_equal(option_range(mss, text), "0, or 88 to 32767");
	assert_string_equal(option_range(buffer, text), "4K to 64M");
	assert_false(option_in_range(port, 0));
	assert_true(option_in_range(port, 65535));
	assert_false(option_in_range(port, 65536));
	assert_true(option_in_range(mss, 0));
	assert_false(option_in_range(mss, 87));
	assert_true(option_in_range(mss, 88));
}

static void
test_defaults_text(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	option_write_defaults(out, OPTION_IN_POLICY);
	fclose(out);
	assert_non_null(strstr(text, "\nbuffer = \"256K\";\n"));
	assert_non_null(strstr(text, "\nallow_local = false;\n"));
	assert_non_null(strstr(text, "sources = [ ];\n"));
	assert_non_null(strstr(text, "server = {\ncongestion = \"system\";"));
	assert_null(strstr(text, "name ="));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_defaults_text),
	};

	return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
