/* The text of a configuration file, and what policy a flow gets by it. */
#include "conf/conf.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "conf/policy.h"
#include "fuzz.h"

/* The effective configuration, as `check --print' writes it. */
static char *
print(const struct conf *conf)
{
	struct evbuffer *out = evbuffer_new();
	size_t len;
	char *text;

	FUZZ_CHECK(out && !conf_print(conf, out));
	len = evbuffer_get_length(out);
	text = fuzz_text(evbuffer_pullup(out, -1), len);
	evbuffer_free(out);
	return text;
}

static bool
is_among(const struct prefix *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_contains(&list[i], a))
			return true;
	return !n;
}

static bool
takes(const struct policy *p, const struct addr *src, const struct addr *dst)
{
	bool any = !p->n_ports;

	for (size_t i = 0; i < p->n_ports; i++)
		any |= addr_port(dst) >= p->ports[i].first &&
		    addr_port(dst) <= p->ports[i].last;
	return any && is_among(p->sources, p->n_sources, src) &&
	    is_among(p->destinations, p->n_destinations, dst);
}

static const struct policy *
first_policy(
    const struct conf *conf, const struct addr *src, const struct addr *dst)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (takes(&conf->policies[i], src, dst))
			return &conf->policies[i];
	return &conf->fallback;
}

/* The index finds what looking at one policy after the other does. */
static void
check_policies(const struct conf *conf)
{
	static const char *const texts[] = { "10.0.0.1", "192.168.0.7",
		"203.0.113.9", "fd00:1::7", "2001:db8::1" };
	static const uint16_t ports[] = { 80, 443, 8080 };
	struct addr src, dst;

	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 15; j++) {
			FUZZ_CHECK(!addr_parse(&src, texts[i], 5000));
			FUZZ_CHECK(
			    !addr_parse(&dst, texts[j % 5], ports[j / 5]));
			FUZZ_CHECK(policy_find(conf, &src, &dst) ==
			    first_policy(conf, &src, &dst));
		}
}

/* What is printed loads to the same. */
static void
check_print(const struct conf *conf)
{
	struct conf_report report = { 0 };
	char *text = print(conf), *again;
	struct conf *other;

	answers_clear();
	answers_set((const uint8_t *)text, strlen(text));
	other = conf_read(ANSWERS_INPUT, NULL, &report);
	FUZZ_CHECK(other);
	again = print(other);
	FUZZ_CHECK(!strcmp(text, again));
	conf_unref(other);
	free(text);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_report report = { 0 };
	char path[SOCK_PATH_MAX];
	struct conf *conf;

	answers_set(data, size);
	conf = conf_read(ANSWERS_INPUT, NULL, &report);
	FUZZ_CHECK(!conf == (report.errors > 0));
	if (!conf_control_path(ANSWERS_INPUT, path))
		FUZZ_CHECK(strlen(path) < SOCK_PATH_MAX);
	if (conf) {
		check_policies(conf);
		check_print(conf);
	}
	conf_unref(conf);
	answers_clear();
	return 0;
}
