#include "unit.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "config.h"

char unit_said[65536];

struct addr
unit_addr(const char *text, uint16_t port)
{
	struct addr a;

	if (addr_parse(&a, text, port))
		fail_msg("no address: %s", text);
	return a;
}

struct prefix
unit_prefix(const char *text)
{
	struct prefix p;

	if (prefix_parse(&p, text) != PREFIX_OK)
		fail_msg("no prefix: %s", text);
	return p;
}

uint32_t
unit_random(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

double
unit_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Notes LINE with "FILE" for the name that stands before it. */
static void
on_finding(void *arg, enum conf_severity severity, const char *line)
{
	const char *path = arg;
	size_t len = strlen(unit_said);
	bool named = !strncmp(line, path, strlen(path));

	(void)severity;
	/* Whether there is a user unatatp is the machine's business. */
	if (strstr(line, "no such user \"unatatp\""))
		return;
	snprintf(unit_said + len, sizeof(unit_said) - len, "%s%s\n",
	    named ? "FILE" : "", named ? line + strlen(path) : line);
}

struct conf *
unit_conf(const char *text, const struct conf_override *over)
{
	int fd = memfd_create("conf", MFD_CLOEXEC);
	char path[64];
	struct conf_report report = { .emit = on_finding, .arg = path };
	struct conf *conf;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	unit_said[0] = '\0';
	conf = conf_read(path, over, &report);
	close(fd);
	assert_int_equal(!conf, report.errors > 0);
	return conf;
}

struct conf *
unit_good_conf(const char *text)
{
	struct conf *conf = unit_conf(text, NULL);

	assert_string_equal(unit_said, "");
	assert_non_null(conf);
	return conf;
}

char *
unit_print(const struct conf *conf)
{
	struct evbuffer *out = evbuffer_new();
	size_t len;
	char *text;

	assert_non_null(out);
	assert_int_equal(conf_print(conf, out), 0);
	len = evbuffer_get_length(out);
	text = calloc(1, len + 1);
	assert_non_null(text);
	evbuffer_remove(out, text, len);
	evbuffer_free(out);
	return text;
}

bool
unit_is_slow(void)
{
	const char *preload = getenv("LD_PRELOAD");

#ifdef INSTRUMENTED
	return true;
#endif
	return preload && strstr(preload, "/vgpreload_");
}
