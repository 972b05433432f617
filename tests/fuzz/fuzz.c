#include "fuzz.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDS 256

/* What LeakSanitizer asks; no header has it. */
const char *__lsan_default_suppressions(void);

/*
 * libconfig 1.5 loses a string that it did not expect: conf_text.c. Its
 * scanner makes an empty one itself, the others with strbuf_append.
 */
const char *
__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

_Noreturn void
fuzz_fail(const char *file, int line, const char *what)
{
	dprintf(
	    STDERR_FILENO, "%s:%d: this does not hold: %s\n", file, line, what);
	abort();
}

char *
fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

int
fuzz_open_fds(void)
{
	struct pollfd fds[FDS];
	int n = 0;

	for (int fd = 0; fd < FDS; fd++)
		fds[fd] = (struct pollfd){ .fd = fd };
	FUZZ_CHECK(poll(fds, FDS, 0) >= 0);
	for (int fd = 0; fd < FDS; fd++)
		n += !(fds[fd].revents & POLLNVAL);
	return n;
}
