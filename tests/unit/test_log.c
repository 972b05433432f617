/* The log: levels, the token bucket, a reader that has stopped. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static int reader, terminal;

/* Standard error becomes a pipe that the test reads. */
static int
divert(void **state)
{
	int fds[2];

	(void)state;
	if (pipe2(fds, O_NONBLOCK))
		return -1;
	terminal = dup(STDERR_FILENO);
	fcntl(fds[1], F_SETFL, 0); /* blocking, as a shell gives it */
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
	log_set(LOG_TARGET_STDERR, false);
	return 0;
}

/* cmocka's own closing line goes there, too. */
static int
restore(void **state)
{
	(void)state;
	dup2(terminal, STDERR_FILENO);
	return 0;
}

static size_t
read_lines(char *text, size_t size)
{
	ssize_t n = read(reader, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void
test_levels(void **state)
{
	char text[4096];

	(void)state;
	log_set_level(LOG_LEVEL_WARNING);
	log_info("hidden");
	log_warning("shown %d", 7);
	read_lines(text, sizeof(text));
	assert_string_equal(text, "shown 7\n");
	assert_true(log_enabled(LOG_LEVEL_ERROR));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_INFO);
}

static void
test_long_lines_are_cut(void **state)
{
	char text[4096], long_one[3000];

	(void)state;
	memset(long_one, 'x', sizeof(long_one));
	long_one[sizeof(long_one) - 1] = '\0';
	log_info("%s", long_one);
	assert_true(read_lines(text, sizeof(text)) <= LOG_LINE_MAX);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

static void
test_bucket(void **state)
{
	int passed = 0;
	char text[4096];

	(void)state;
	log_set_rate(10);
	for (int i = 0; i < 1000; i++)
		passed += log_allow(LOG_LEVEL_INFO);
	assert_in_range(passed, 10, 20);
	log_info("next");
	read_lines(text, sizeof(text));
	assert_non_null(strstr(text, "log suppressed=9"));
	assert_non_null(strstr(text, "\nnext\n"));
	log_set_rate(0);
	assert_true(log_allow(LOG_LEVEL_INFO));
}

/* Must not block: the alarm would end the program. */
static void
test_stopped_reader(void **state)
{
	static char text[1 << 20];
	size_t n = 0, got;

	(void)state;
	alarm(10);
	for (int i = 0; i < 20000; i++)
		log_info("a line that nobody reads, number %d", i);
	while ((got = read_lines(text, sizeof(text))))
		n += got;
	assert_true(n > 0);
	log_info("read again");
	alarm(0);
	read_lines(text, sizeof(text));
	assert_non_null(strstr(text, "log suppressed="));
	assert_non_null(strstr(text, "read again\n"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_stopped_reader),
	};

	return cmocka_run_group_tests(tests, divert, restore);
}
