#include "conf/policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define PREFIXES 100000
#define PER_POLICY 100

static const struct policy *
find(const struct conf *conf, const char *src, const char *dst, uint16_t port)
{
	struct addr a = unit_addr(src, 1024), b = unit_addr(dst, port);

	addr_unmap(&a);
	addr_unmap(&b);
	return policy_find(conf, &a, &b);
}

static void
expect(const struct conf *conf, const char *src, const char *dst, uint16_t port,
    const char *name)
{
	const char *found = find(conf, src, dst, port)->name;

	if (strcmp(found, name))
		fail_msg("%s to %s port %u meets %s, not %s", src, dst, port,
		    found, name);
}

static void
test_first_match_decides(void **state)
{
	struct conf *conf = unit_good_conf(
	    "policies = ("
	    "{ name = \"web\"; sources = [ \"10.0.0.0/8\" ];"
	    "  ports = ( 80, \"8000-8999\" ); },"
	    "{ name = \"narrow\"; sources = [ \"10.1.0.0/16\" ]; },"
	    "{ name = \"to\"; destinations = [ \"198.51.100.0/24\","
	    "  \"2001:db8::/32\" ]; },"
	    "{ name = \"wide\"; sources = [ \"10.0.0.0/8\","
	    "  \"fd00::/8\" ]; } );");

	(void)state;
	expect(conf, "10.1.2.3", "192.0.2.1", 80, "web");
	expect(conf, "10.1.2.3", "192.0.2.1", 8999, "web");
	expect(conf, "10.1.2.3", "192.0.2.1", 9000, "narrow");
	expect(conf, "10.1.2.3", "192.0.2.1", 7999, "narrow");
	expect(conf, "10.1.2.3", "198.51.100.1", 22, "narrow");
	expect(conf, "10.2.2.3", "198.51.100.1", 22, "to");
	expect(conf, "10.2.2.3", "192.0.2.1", 22, "wide");
	expect(conf, "192.0.2.1", "198.51.100.1", 22, "to");
	expect(conf, "192.0.2.1", "198.51.101.1", 22, "default");
	expect(conf, "fd00::1", "2001:db8::1", 80, "to");
	expect(conf, "fd00::1", "2001:db9::1", 80, "wide");
	expect(conf, "fe00::1", "2001:db9::1", 80, "default");
	assert_ptr_equal(
	    find(conf, "fe00::1", "2001:db9::1", 80), &conf->fallback);
	conf_unref(conf);
}

/* What a dual-stack listener hands on, and what a file may say. */
static void
test_mapped_addresses(void **state)
{
	struct conf *conf =
	    unit_good_conf("policies = ( { name = \"four\";"
			   "  sources = [ \"::ffff:10.0.0.0/104\" ]; },"
			   "{ name = \"six\"; sources = [ \"::/0\" ]; } );");

	(void)state;
	expect(conf, "10.9.9.9", "192.0.2.1", 80, "four");
	expect(conf, "::ffff:10.9.9.9", "::ffff:192.0.2.1", 80, "four");
	expect(conf, "::ffff:11.9.9.9", "::ffff:192.0.2.1", 80, "default");
	expect(conf, "2001:db8::1", "2001:db8::2", 80, "six");
	conf_unref(conf);
}

static char *out;

__attribute__((format(printf, 1, 2))) static void
put(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	out += vsprintf(out, format, ap);
	va_end(ap);
}

/* A few prefixes, of both families, in so little room that they meet. */
static void
put_prefixes(const char *name, unsigned most)
{
	unsigned n = unit_random() % (most + 1);

	put(" %s = [", name);
	for (unsigned i = 0; i < n; i++) {
		unsigned len = unit_random() % 5;
		unsigned bits = unit_random() % 16 & 15u << (4 - len);

		if (unit_random() % 8 == 0)
			put("%s\"%s\"", i ? "," : "",
			    unit_random() % 2 ? "0.0.0.0/0" : "::/0");
		else if (unit_random() % 3)
			put("%s\"10.0.0.%u/%u\"", i ? "," : "", bits, 28 + len);
		else
			put("%s\"fd00::%x/%u\"", i ? "," : "", bits, 124 + len);
	}
	put(" ];");
}

static void
put_ports(void)
{
	unsigned n = unit_random() % 4;

	put(" ports = [");
	for (unsigned i = 0; i < n; i++) {
		unsigned first = 1 + unit_random() % 10;

		put("%s\"%u-%u\"", i ? "," : "", first,
		    first + unit_random() % 4);
	}
	put(" ];");
}

static struct conf *
random_conf(void)
{
	static char text[65536];
	unsigned n = unit_random() % 12;
	struct conf *conf;

	out = text;
	put("policies = (");
	for (unsigned i = 0; i < n; i++) {
		put("%s\n{ name = \"p%u\";", i ? "," : "", i);
		put_prefixes("sources", 4);
		put_prefixes("destinations", 3);
		put_ports();
		put(" }");
	}
	put(");\n");
	conf = unit_conf(text, NULL);
	assert_non_null(conf);
	return conf;
}

static bool
naive_in(const struct prefix *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_contains(&list[i], a))
			return true;
	return !n;
}

static bool
naive_matches(
    const struct policy *p, const struct addr *src, const struct addr *dst)
{
	bool port = !p->n_ports;

	for (size_t i = 0; i < p->n_ports; i++)
		port |= addr_port(dst) >= p->ports[i].first &&
		    addr_port(dst) <= p->ports[i].last;
	return port && naive_in(p->sources, p->n_sources, src) &&
	    naive_in(p->destinations, p->n_destinations, dst);
}

static const struct policy *
naive_find(
    const struct conf *conf, const struct addr *src, const struct addr *dst)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (naive_matches(&conf->policies[i], src, dst))
			return &conf->policies[i];
	return &conf->fallback;
}

static struct addr
random_addr(bool six)
{
	char text[ADDR_TEXT_MAX];

	/* Every fourth lies outside of what the policies name. */
	snprintf(text, sizeof(text), six ? "fd00::%x" : "10.0.0.%u",
	    unit_random() % 20);
	return unit_addr(text, (uint16_t)(1 + unit_random() % 15));
}

/*
 * policy_find agrees with the plainest matcher there can be, and nobody
 * meets a policy that is said to be unreachable.
 */
static void
test_against_naive(void **state)
{
	unsigned matches = 0, unreachable = 0;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		struct conf *conf = random_conf();

		for (int probe = 0; probe < 200; probe++) {
			bool six = unit_random() % 3 == 0;
			struct addr src = random_addr(six);
			struct addr dst = random_addr(six);
			const struct policy *p = policy_find(conf, &src, &dst);

			assert_ptr_equal(p, naive_find(conf, &src, &dst));
			if (p == &conf->fallback)
				continue;
			matches++;
			assert_null(policy_unreachable(conf, p));
		}
		for (size_t i = 0; i < conf->n_policies; i++)
			unreachable +=
			    !!policy_unreachable(conf, &conf->policies[i]);
		conf_unref(conf);
	}
	/* Else the rounds prove little. */
	assert_in_range(matches, 20000, 180000);
	assert_in_range(unreachable, 200, 4000);
}

/*
 * Where the room is so small that every flow can be tried, a policy that
 * one policy or several with the same servers hide is said to be hidden.
 */
static void
test_unreachable_is_complete(void **state)
{
	(void)state;
	for (int round = 0; round < 500; round++) {
		static char text[4096];
		bool met[6] = { false };
		struct conf *conf;

		out = text;
		put("policies = (");
		for (unsigned i = 0; i < 6; i++) {
			unsigned len = unit_random() % 4;

			put("%s{ name = \"p%u\"; sources = ["
			    "\"10.0.0.%u/%u\" ]; }",
			    i ? "," : "", i,
			    unit_random() % 8 & 7u << (3 - len), 29 + len);
		}
		put(");");
		conf = unit_conf(text, NULL);
		for (unsigned i = 0; i < 8; i++) {
			const struct policy *p;
			char src[16];

			snprintf(src, sizeof(src), "10.0.0.%u", i);
			p = find(conf, src, "192.0.2.1", 80);
			if (p != &conf->fallback)
				met[p->index] = true;
		}
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(met[i],
			    !policy_unreachable(conf, &conf->policies[i]));
		conf_unref(conf);
	}
}

/* Sources of every length: 100 a policy, 1,000 policies. */
static struct conf *
big_conf(void)
{
	char *text = malloc(PREFIXES * 40);
	struct conf *conf;

	out = text;
	put("policies = (");
	for (unsigned i = 0; i < PREFIXES; i++) {
		uint32_t base = i << 15;
		unsigned len = 17 + i % 12;

		if (i % PER_POLICY == 0)
			put("%s{ name = \"p%u\"; sources = (", i ? "); }," : "",
			    i / PER_POLICY);
		put("%s\"%u.%u.%u.%u/%u\"", i % PER_POLICY ? "," : "",
		    base >> 24, base >> 16 & 255, base >> 8 & 255, base & 255,
		    len);
	}
	put("); } );");
	conf = unit_conf(text, NULL);
	free(text);
	assert_non_null(conf);
	return conf;
}

static void
test_speed(void **state)
{
	double start = unit_cpu_ns(), loaded, per_match;
	struct conf *conf = big_conf();
	struct addr *ask = calloc(4096, sizeof(*ask));
	struct addr dst = unit_addr("192.0.2.1", 443);
	size_t hits = 0;

	(void)state;
	loaded = unit_cpu_ns();
	for (int i = 0; i < 4096; i++) {
		ask[i].sa.sa_family = AF_INET;
		ask[i].in4.sin_addr.s_addr = htonl(unit_random());
		assert_ptr_equal(policy_find(conf, &ask[i], &dst),
		    naive_find(conf, &ask[i], &dst));
	}
	start = loaded - start;
	loaded = unit_cpu_ns();
	for (int i = 0; i < 1000000; i++)
		hits +=
		    policy_find(conf, &ask[i % 4096], &dst) != &conf->fallback;
	per_match = (unit_cpu_ns() - loaded) / 1e6;
	print_message("%d prefixes, %zu policies: loaded in %.0f ms, %.0f ns "
		      "a match (%zu%% hits)\n",
	    PREFIXES, conf->n_policies, start / 1e6, per_match, hits / 10000);
	if (!unit_is_slow()) {
		assert_true(start < 2e9);
		assert_true(per_match < 1000);
	}
	conf_unref(conf);
	free(ask);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_match_decides),
		cmocka_unit_test(test_mapped_addresses),
		cmocka_unit_test(test_against_naive),
		cmocka_unit_test(test_unreachable_is_complete),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
