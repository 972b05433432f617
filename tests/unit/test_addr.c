#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/addr.h"
#include "unit.h"

static void
test_parse_and_format(void **state)
{
	static const char *const good[] = { "192.0.2.1", "0.0.0.0",
		"255.255.255.255", "::", "::1", "2001:db8::1",
		"::ffff:192.0.2.1", "fe80::1%lo" };
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		a = unit_addr(good[i], 443);
		assert_string_equal(addr_format_host(&a, text), good[i]);
		assert_int_equal(addr_port(&a), 443);
	}
	a = unit_addr("192.0.2.1", 65535);
	assert_string_equal(addr_format(&a, text), "192.0.2.1:65535");
	assert_int_equal(addr_len(&a), sizeof(struct sockaddr_in));
	a = unit_addr("fe80::1%lo", 1);
	assert_string_equal(addr_format(&a, text), "[fe80::1%lo]:1");
	assert_int_equal(addr_len(&a), sizeof(struct sockaddr_in6));
	assert_int_equal(a.in6.sin6_scope_id, if_nametoindex("lo"));
	addr_set_port(&a, 2);
	assert_int_equal(addr_port(&a), 2);
}

static void
test_parse_refuses(void **state)
{
	static const char *const bad[] = { "", "1", "10.1", "1.2.3.4.5",
		"1.2.3.256", "01.2.3.4x", "1.2.3.4 ", " ::1", "[::1]",
		":::", "1.2.3.4:80", "host", "fe80::1%nosuchif", "fe80::1%",
		"1.2.3.4%lo", "1.2.3.4/8", "::1/64",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000" };
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (addr_parse(&a, bad[i], 0) != -EINVAL)
			fail_msg("taken: \"%s\"", bad[i]);
}

static void
test_unmap(void **state)
{
	struct addr mapped = unit_addr("::ffff:192.0.2.1", 80);
	struct addr plain = unit_addr("192.0.2.1", 80);
	struct addr six = unit_addr("2001:db8::1", 80), same = six;

	(void)state;
	assert_false(addr_equal(&mapped, &plain));
	addr_unmap(&mapped);
	assert_true(addr_equal(&mapped, &plain));
	assert_memory_equal(&mapped.in4, &plain.in4, sizeof(plain.in4));
	addr_unmap(&six);
	assert_true(addr_equal(&six, &same));
	addr_unmap(&plain);
	assert_true(addr_equal(&mapped, &plain));
}

static void
test_compare(void **state)
{
	struct addr a = unit_addr("192.0.2.1", 80);
	struct addr b = unit_addr("192.0.2.1", 81);
	struct addr c = unit_addr("192.0.2.2", 80);
	struct addr six = unit_addr("c000:201::", 80);
	struct addr scoped = unit_addr("fe80::1%lo", 80);
	struct addr loose = unit_addr("fe80::1", 80);

	(void)state;
	assert_true(addr_equal(&a, &a));
	assert_false(addr_equal(&a, &b));
	assert_true(addr_same_host(&a, &b));
	assert_false(addr_same_host(&a, &c));
	assert_false(addr_same_host(&a, &six));
	assert_false(addr_same_host(&scoped, &loose));
}

static void
test_special(void **state)
{
	static const struct {
		const char *text;
		bool special;
	} cases[] = {
		{ "0.0.0.0", true },
		{ "0.1.2.3", true },
		{ "1.0.0.0", false },
		{ "126.255.255.255", false },
		{ "127.0.0.1", true },
		{ "127.255.255.255", true },
		{ "128.0.0.0", false },
		{ "169.253.255.255", false },
		{ "169.254.0.1", true },
		{ "169.255.0.0", false },
		{ "223.255.255.255", false },
		{ "224.0.0.1", true },
		{ "239.255.255.255", true },
		{ "240.0.0.1", false },
		{ "255.255.255.254", false },
		{ "255.255.255.255", true },
		{ "192.168.0.1", false },
		{ "::", true },
		{ "::1", true },
		{ "::2", false },
		{ "fe7f::1", false },
		{ "fe80::1", true },
		{ "febf::1", true },
		{ "fec0::1", false },
		{ "feff::1", false },
		{ "ff02::1", true },
		{ "fd00::1", false },
		{ "2001:db8::1", false },
		{ "::ffff:127.0.0.1", true },
		{ "::ffff:192.0.2.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr a = unit_addr(cases[i].text, 80);

		if (addr_is_special(&a) != cases[i].special)
			fail_msg("%s", cases[i].text);
		assert_int_equal(addr_is_any(&a),
		    !strcmp(cases[i].text, "0.0.0.0") ||
			!strcmp(cases[i].text, "::"));
	}
}

static void
test_prefix_parse(void **state)
{
	static const struct {
		const char *text;
		enum prefix_error error;
		const char *means;
	} cases[] = {
		{ "192.0.2.0/24", PREFIX_OK, "192.0.2.0/24" },
		{ "192.0.2.1", PREFIX_OK, "192.0.2.1/32" },
		{ "0.0.0.0/0", PREFIX_OK, "0.0.0.0/0" },
		{ "::/0", PREFIX_OK, "::/0" },
		{ "2001:db8::/33", PREFIX_OK, "2001:db8::/33" },
		{ "::1", PREFIX_OK, "::1/128" },
		{ "::ffff:192.0.2.0/120", PREFIX_OK, "192.0.2.0/24" },
		{ "::ffff:0.0.0.0/96", PREFIX_OK, "0.0.0.0/0" },
		{ "::ffff:0:0/95", PREFIX_HOST_BITS, "::fffe:0:0/95" },
		{ "192.0.2.1/24", PREFIX_HOST_BITS, "192.0.2.0/24" },
		{ "10.255.0.0/9", PREFIX_HOST_BITS, "10.128.0.0/9" },
		{ "2001:db8::1/127", PREFIX_HOST_BITS, "2001:db8::/127" },
		{ "::ffff:10.1.0.0/104", PREFIX_HOST_BITS, "10.0.0.0/8" },
		{ "192.0.2.0/33", PREFIX_BAD_LENGTH, NULL },
		{ "2001:db8::/129", PREFIX_BAD_LENGTH, NULL },
		{ "192.0.2.0/", PREFIX_BAD_LENGTH, NULL },
		{ "192.0.2.0/-1", PREFIX_BAD_LENGTH, NULL },
		{ "192.0.2.0/+8", PREFIX_BAD_LENGTH, NULL },
		{ "192.0.2.0/8/8", PREFIX_BAD_LENGTH, NULL },
		{ "192.0.2.0/4294967304", PREFIX_BAD_LENGTH, NULL },
		{ "192.0.2/24", PREFIX_BAD_ADDRESS, NULL },
		{ "", PREFIX_BAD_ADDRESS, NULL },
		{ "/8", PREFIX_BAD_ADDRESS, NULL },
		{ "fe80::1%lo/64", PREFIX_BAD_ADDRESS, NULL },
	};
	char text[PREFIX_TEXT_MAX];
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (prefix_parse(&p, cases[i].text) != cases[i].error)
			fail_msg("%s", cases[i].text);
		if (cases[i].means)
			assert_string_equal(
			    prefix_format(&p, text), cases[i].means);
	}
}

static void
test_prefix_contains_and_map(void **state)
{
	struct prefix p = unit_prefix("10.128.0.0/9");
	struct prefix all = unit_prefix("0.0.0.0/0");
	struct prefix six = unit_prefix("2001:db8:aa00::/39");
	struct addr in = unit_addr("10.255.1.2", 1);
	struct addr out = unit_addr("10.127.255.255", 1);
	struct addr host = unit_addr("fd00:1:2345:6789::42", 7);
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_true(prefix_contains(&p, &in));
	assert_false(prefix_contains(&p, &out));
	assert_true(prefix_contains(&all, &out));
	assert_false(prefix_contains(&all, &host));
	prefix_map(&six, &host);
	assert_true(prefix_contains(&six, &host));
	assert_string_equal(
	    addr_format(&host, text), "[2001:db8:ab45:6789::42]:7");
	prefix_map(&p, &out);
	assert_string_equal(addr_format(&out, text), "10.255.255.255:1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_unmap),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_special),
		cmocka_unit_test(test_prefix_parse),
		cmocka_unit_test(test_prefix_contains_and_map),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
