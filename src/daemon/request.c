#include "daemon/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool
request_parse(struct request *r, char *line)
{
	char *rest = line, *word;

	r->n = 0;
	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		if (r->n == REQUEST_WORDS)
			return false;
		r->words[r->n++] = word;
	}
	return true;
}

size_t
request_match(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++) {
		size_t len = strcspn(name, " ");

		if (strncmp(r->words[i], name, len) || r->words[i][len])
			return 0;
		if (!name[len])
			return i + 1;
		name += len + 1;
	}
	return 0;
}

const char *
request_value(const struct request *r, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < r->n; i++)
		if (!strncmp(r->words[i], key, len) && r->words[i][len] == '=')
			return r->words[i] + len + 1;
	return NULL;
}

bool
request_number(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9') /* strtoull takes a sign */
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !*end && !errno && *number >= low && *number <= high;
}
