/* A policy's lists as the firewall wants them. */
#include "unit.h"

#include <string.h>

#include "gateway/match.h"

/* Reads N texts and compares what is left of FAMILY with WANT, blanks
   between. */
static void
check(sa_family_t family, const char *const *texts, size_t n, const char *want)
{
	struct prefix list[16];
	struct match m;
	char got[512] = "", text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		list[i] = unit_prefix(texts[i]);
	assert_int_equal(match_make(&m, list, n, family), 0);
	if (m.never)
		strcat(got, "never");
	for (size_t i = 0; i < m.n; i++) {
		strcat(got, i ? " " : "");
		strcat(got, prefix_format(&m.prefixes[i], text));
	}
	assert_string_equal(got, want);
	match_clear(&m);
}

static void
test_lists(void **state)
{
	static const char *const texts[] = { "10.2.0.0/16", "fd00:1::/64",
		"10.1.2.0/24", "10.0.0.0/15", "10.1.2.3", "fd00:1::7",
		"192.0.2.1", "10.2.0.0/16" };
	static const char *const odd[] = { "10.0.0.128/25", "10.0.0.0/25",
		"10.0.0.127", "10.0.0.130" };
	static const char *const all[] = { "0.0.0.0/0", "10.0.0.0/8" };

	(void)state;
	check(AF_INET, texts, 8, "10.0.0.0/15 10.2.0.0/16 192.0.2.1/32");
	check(AF_INET6, texts, 8, "fd00:1::/64");
	check(AF_INET, odd, 4, "10.0.0.0/25 10.0.0.128/25");
	check(AF_INET6, odd, 4, "never");
	check(AF_INET, all, 2, "");
	check(AF_INET6, all, 2, "never");
	check(AF_INET, all, 0, "");
}

static void
test_conf(void **state)
{
	struct conf *conf = unit_good_conf(
	    "user = \"\"; listen = ({ address = \"::1\"; port = 7; });\n"
	    "policies = ({ name = \"a\"; ports = [ 1 ]; },\n"
	    "{ name = \"b\"; ports = [ 2 ]; action = \"bypass\"; },\n"
	    "{ name = \"c\"; source = \"clientip\"; });");
	struct addr a;

	(void)state;
	assert_int_equal(match_decisive(conf), 2);
	assert_true(match_transparent(conf));
	assert_false(match_rejects(conf));
	assert_false(match_listen(conf, AF_INET, &a));
	assert_true(match_listen(conf, AF_INET6, &a));
	assert_int_equal(addr_port(&a), 7);
	conf_unref(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
