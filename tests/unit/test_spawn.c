/* Running other programs: input, both outputs, status, and its failures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/spawn.h"

static void
test_echo(void **state)
{
	static const char *const cat[] = { "cat", NULL };
	size_t n = 1 << 20; /* more than a pipe holds */
	char *text = malloc(n + 1);
	struct spawn_result r;

	(void)state;
	memset(text, 'x', n);
	text[n] = '\0';
	assert_int_equal(spawn_run(cat, text, &r), 0);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, text);
	assert_string_equal(r.err, "");
	spawn_clear(&r);
	free(text);
}

static void
test_status(void **state)
{
	static const char *const sh[] = { "sh", "-c",
		"echo said; echo wrong >&2; exit 7", NULL };
	static const char *const killed[] = { "sh", "-c", "kill -9 $$", NULL };
	struct spawn_result r;

	(void)state;
	/* It does not read its input: that is its own business. */
	assert_int_equal(spawn_run(sh, "unread", &r), 0);
	assert_int_equal(r.status, 7);
	assert_string_equal(r.out, "said\n");
	assert_string_equal(r.err, "wrong");
	spawn_clear(&r);
	assert_int_equal(spawn_run(killed, NULL, &r), 0);
	assert_int_equal(r.status, 128 + 9);
	spawn_clear(&r);
}

static void
test_missing(void **state)
{
	static const char *const none[] = { "no-such-program-here", NULL };
	struct spawn_result r;

	(void)state;
	assert_int_equal(spawn_run(none, NULL, &r), -ENOENT);
	assert_null(r.out);
}

/* System programs are found although PATH does not say where. */
static void
test_path(void **state)
{
	static const char *const ip[] = { "ip", "-V", NULL };
	char *path = strdup(getenv("PATH"));
	struct spawn_result r;

	(void)state;
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(spawn_run(ip, NULL, &r), 0);
	assert_int_equal(r.status, 0);
	spawn_clear(&r);
	setenv("PATH", path, 1);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
