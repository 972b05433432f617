#include "conf/conf.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

/* libconfig 1.5 copies a list for every 16 elements: ASan is slow then. */

static void
test_built_in(void **state)
{
	struct conf_report report = { 0 };
	struct conf *conf = conf_read(NULL, NULL, &report);
	char text[ADDR_TEXT_MAX];
	const struct policy *p;

	(void)state;
	assert_non_null(conf);
	assert_int_equal(report.errors + report.warnings, 0);
	assert_true(conf->builtin);
	assert_int_equal(conf->n_listens, 2);
	assert_string_equal(
	    addr_format(&conf->listens[0], text), "127.0.0.1:9999");
	assert_string_equal(addr_format(&conf->listens[1], text), "[::1]:9999");
	assert_string_equal(
	    conf->user, getpwnam("unatatp") ? "unatatp" : "nobody");
	assert_int_equal(conf->timeouts.drain, 30000);
	assert_int_equal(conf->log.level, LOG_LEVEL_INFO);
	assert_int_equal(conf->log.flows, CONF_FLOWS_SUMMARY);
	assert_int_equal(conf->log.max_per_second, 50);
	assert_int_equal(conf->n_policies, 0);
	p = &conf->fallback;
	assert_string_equal(p->name, "default");
	assert_int_equal(p->action, CONF_PROXY);
	assert_int_equal(p->buffer, 256 << 10);
	assert_int_equal(p->splice_after, 64 << 10);
	assert_string_equal(p->client.congestion, "");
	assert_int_equal(p->client.notsent_lowat, 128 << 10);
	assert_int_equal(p->server.keepalive, 120000);
	assert_int_equal(p->server.dscp, -1);
	assert_int_equal(p->timeouts.connect, 10000);
	assert_int_equal(p->timeouts.idle, 124 * 60000);
	assert_int_equal(p->timeouts.half_close, 300000);
	assert_int_equal(p->timeouts.lifetime, 0);
	conf_unref(conf);
	conf_unref(NULL);
}

/* A policy begins with the defaults, and takes nothing from another. */
static void
test_policy_defaults(void **state)
{
	struct conf *conf = unit_good_conf(
	    "policies = ( { name = \"a\"; ports = [ 80 ]; buffer = \"1M\";"
	    "  client = { mss = 1000; }; },"
	    " { name = \"b\"; client = { dscp = 8; }; } );");
	const struct policy *a = &conf->policies[0], *b = &conf->policies[1];

	(void)state;
	assert_false(conf->builtin);
	assert_int_equal(a->buffer, 1 << 20);
	assert_int_equal(a->client.mss, 1000);
	assert_int_equal(a->client.keepalive, 120000);
	assert_int_equal(a->server.mss, 0);
	assert_int_equal(a->line, 1);
	assert_int_equal(b->buffer, 256 << 10);
	assert_int_equal(b->client.mss, 0);
	assert_int_equal(b->client.dscp, 8);
	assert_int_equal(b->n_ports, 0);
	assert_int_equal(b->index, 1);
	assert_int_equal(conf->fallback.index, 2);
	assert_int_equal(conf->fallback.client.dscp, -1);
	conf_unref(conf);
}

/* A name outlives its snapshot, and is the same in the next one. */
static void
test_names_live_on(void **state)
{
	const char *text = "policies = ( { name = \"lives-on\"; } );";
	struct conf *conf = unit_good_conf(text);
	const char *name = conf->policies[0].name;

	(void)state;
	conf_unref(conf);
	conf = unit_good_conf(text);
	assert_ptr_equal(conf->policies[0].name, name);
	conf_unref(conf);
}

static void
test_references(void **state)
{
	struct conf *conf = unit_good_conf("workers = 3;");

	(void)state;
	assert_ptr_equal(conf_ref(conf), conf);
	conf_unref(conf);
	assert_int_equal(conf->workers, 3);
	conf_unref(conf);
}

static void
test_override(void **state)
{
	const struct conf_override over = { .port = 3128,
		.congestion = "reno",
		.bind_ipv4 = "192.0.2.9",
		.bind_ipv6_prefix = "2001:db8::/64",
		.verbose = 1 };
	struct conf *conf = unit_conf(
	    "listen = ( { port = 1; }, { port = 2; },"
	    " { address = \"::1\"; port = 1; } );"
	    "policies = ( { name = \"a\"; ports = [ 80 ]; source ="
	    " \"192.0.2.1\"; }, { name = \"default\"; ports = [ 81 ]; } );",
	    &over);

	(void)state;
	assert_non_null(conf);
	assert_int_equal(conf->n_listens, 2);
	assert_int_equal(addr_port(&conf->listens[0]), 3128);
	assert_int_equal(addr_port(&conf->listens[1]), 3128);
	assert_int_equal(conf->log.level, LOG_LEVEL_DEBUG);
	assert_string_equal(conf->policies[0].client.congestion, "reno");
	assert_string_equal(conf->policies[1].server.congestion, "reno");
	assert_string_equal(conf->fallback.server.congestion, "reno");
	assert_false(conf->policies[0].source.has[1]);
	assert_int_equal(conf->policies[0].source.prefix[0].bytes[3], 1);
	assert_int_equal(conf->policies[1].source.prefix[0].bytes[3], 9);
	assert_true(conf->fallback.source.has[0]);
	assert_int_equal(conf->fallback.source.prefix[0].len, 32);
	assert_int_equal(conf->fallback.source.prefix[1].len, 64);
	conf_unref(conf);
}

static void
test_override_refuses(void **state)
{
	const struct conf_override over = { .bind_ipv4 = "2001:db8::1",
		.bind_ipv6_prefix = "192.0.2.1",
		.congestion = "no word" };

	(void)state;
	assert_null(unit_conf("", &over));
	assert_string_equal(unit_said,
	    "command line: \"no word\" is no congestion algorithm (\"system\""
	    ", or a name of 15 characters at most)\n"
	    "command line: \"2001:db8::1\" is no IPv4 address\n"
	    "command line: \"192.0.2.1\" is no IPv6 prefix\n");
}

/* Every mistake is found at once, each where it is. */
static void
test_all_mistakes(void **state)
{
	(void)state;
	assert_null(unit_conf("workers = 99999999999;\n"
			      "policies = ( { name = \"a\";\n"
			      "  sources = [ \"10.0.0.1/8\",\n"
			      "    \"x\"\n"
			      "  ];\n"
			      "  congeston = \"bbr\"; } );\n",
	    NULL));
	assert_string_equal(unit_said,
	    "FILE:1: \"workers\" is out of range (0 to 1024)\n"
	    "FILE:3: \"10.0.0.1/8\" has host bits set (did you mean "
	    "\"10.0.0.0/8\"?)\n"
	    "FILE:4: bad address \"x\" (an IPv4 or IPv6 address or prefix in "
	    "numbers is wanted)\n"
	    "FILE:6: unknown option \"congeston\" (did you mean "
	    "\"congestion\" in \"client\" or \"server\" of a policy?)\n");
}

static void
test_missing_file(void **state)
{
	struct conf_report report = { 0 };

	(void)state;
	errno = 0;
	assert_null(conf_read("/nosuch/file", NULL, &report));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(report.errors, 1);
	assert_null(conf_read("/", NULL, &report));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(report.errors, 1);
}

static void
test_default_path(void **state)
{
	(void)state;
	assert_string_equal(conf_default_path("x"), "x");
	if (access(CONF_DEFAULT_PATH, F_OK))
		assert_null(conf_default_path(NULL));
	else
		assert_string_equal(conf_default_path(NULL), CONF_DEFAULT_PATH);
}

/* Lines beyond 65535 are told right, too. */
static void
test_far_lines(void **state)
{
	char *text = malloc(70001 + 32);

	(void)state;
	memset(text, '\n', 70000);
	strcpy(text + 70000, "workers = -1;");
	assert_null(unit_conf(text, NULL));
	assert_string_equal(
	    unit_said, "FILE:70001: \"workers\" is out of range (0 to 1024)\n");
	free(text);
}

/* What is cut off anywhere is a mistake or a smaller file, never worse. */
static void
test_truncated(void **state)
{
	static const char text[] =
	    "listen = ( { address = \"::1\"; port = 0x50; } ); # one\n"
	    "/* two */ policies = ( { name = \"a\"; ports = [ \"80\",\n"
	    "\"90-99\" ]; client = { mss = 1400L; }; } ); // three\n";
	char part[sizeof(text)];

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		memcpy(part, text, n);
		part[n] = '\0';
		conf_unref(unit_conf(part, NULL));
	}
	assert_string_equal(unit_said, "");
}

static void
test_print_loads_back(void **state)
{
	struct conf *conf = unit_good_conf(
	    "listen = ( { address = \"0.0.0.0\"; port = 1; } );"
	    "policies = ( { name = \"a\"; mark = 0xffffffff;"
	    " sources = [ \"::ffff:10.0.0.0/104\", \"fd00::/8\" ];"
	    " source = [ \"192.0.2.1\", \"2001:db8::/64\" ];"
	    " ports = ( 80, \"81-90\" ); splice_after = \"1024G\";"
	    " client = { pacing = \"12345K\"; keepalive = \"1500ms\"; };"
	    " } );");
	char *printed = unit_print(conf), *again;

	(void)state;
	conf_unref(conf);
	conf = unit_good_conf(printed);
	again = unit_print(conf);
	assert_string_equal(again, printed);
	assert_int_equal(conf->policies[0].mark, 0xffffffff);
	assert_int_equal(conf->n_policies, 2);
	assert_string_equal(conf->policies[1].name, "default");
	conf_unref(conf);
	free(printed);
	free(again);
}

static void
test_many_prefixes_load(void **state)
{
	const unsigned most = unit_is_slow() ? 10000 : 100000;
	char *text = malloc(most * 32), *p = text;
	double start = unit_cpu_ns(), took;
	struct conf *conf;

	(void)state;
	p += sprintf(p, "policies = ( { name = \"a\"; sources = [\n");
	for (unsigned i = 0; i < most; i++)
		p += sprintf(p, "%s\"10.%u.%u.%u/32\"", i ? ",\n" : "",
		    i >> 16 & 255, i >> 8 & 255, i & 255);
	sprintf(p, "]; } );\n");
	conf = unit_good_conf(text);
	took = unit_cpu_ns() - start;
	assert_int_equal(conf->policies[0].n_sources, most);
	print_message("%d prefixes loaded in %.0f ms\n", most, took / 1e6);
	if (!unit_is_slow())
		assert_true(took < 2e9);
	conf_unref(conf);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_built_in),
		cmocka_unit_test(test_policy_defaults),
		cmocka_unit_test(test_names_live_on),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_override_refuses),
		cmocka_unit_test(test_all_mistakes),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_default_path),
		cmocka_unit_test(test_far_lines),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_print_loads_back),
		cmocka_unit_test(test_many_prefixes_load),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
