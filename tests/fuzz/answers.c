#include "answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/spawn.h"
#include "conf/conf.h"
#include "fuzz.h"

#define MOST 32

struct answer {
	char title[256];
	char *body;
	size_t len;
};

static struct answer answers[MOST];
static size_t n_answers;

static void
add(const char *title, size_t title_len, const char *body, size_t len)
{
	struct answer *a = &answers[n_answers];

	if (n_answers == MOST)
		return;
	snprintf(a->title, sizeof(a->title), "%.*s", (int)title_len, title);
	a->body = fuzz_text((const uint8_t *)body, len);
	a->len = len;
	n_answers++;
}

/* Where the next title's line begins, or END. */
static const char *
next_title(const char *at, const char *end)
{
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (end - at > 3 && !memcmp(at, "== ", 3))
			return at;
		at = newline ? newline + 1 : end;
	}
	return end;
}

void
answers_set(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	const char *title = ANSWERS_INPUT;
	size_t title_len = strlen(title);

	n_answers = 0;
	for (;;) {
		const char *next = next_title(at, end);

		add(title, title_len, at, (size_t)(next - at));
		if (next == end)
			return;
		title = next + 3;
		at = memchr(title, '\n', (size_t)(end - title));
		at = at ? at : end;
		title_len = (size_t)(at - title);
		at += at < end;
	}
}

void
answers_clear(void)
{
	for (size_t i = 0; i < n_answers; i++)
		free(answers[i].body);
	n_answers = 0;
}

static const struct answer *
find(const char *title)
{
	for (size_t i = 0; i < n_answers; i++)
		if (!strcmp(answers[i].title, title))
			return &answers[i];
	return NULL;
}

/* --- in the place of src/base/file.c and src/base/spawn.c ---------- */

int
file_read(const char *path, size_t max, char **data, size_t *len)
{
	const struct answer *a = find(path);

	*data = NULL;
	*len = 0;
	if (!a)
		return -ENOENT;
	if (a->len > max)
		return -EFBIG;
	*data = fuzz_text((const uint8_t *)a->body, a->len);
	*len = a->len;
	return 0;
}

int
spawn_run(
    const char *const argv[], const char *input, struct spawn_result *result)
{
	char title[256] = "!";
	size_t n = 1;
	const struct answer *good, *bad;

	(void)input;
	*result = (struct spawn_result){ 0 };
	for (size_t i = 0; argv[i] && n < sizeof(title); i++)
		n += (size_t)snprintf(title + n, sizeof(title) - n, "%s%s",
		    i ? " " : "", argv[i]);
	good = find(title + 1);
	bad = find(title);
	if (!good && !bad)
		return -ENOENT;
	result->status = bad ? 1 : 0;
	result->out = strdup(good ? good->body : "");
	result->err = strdup(bad ? bad->body : "");
	FUZZ_CHECK(result->out && result->err);
	return 0;
}

const char *
spawn_error(int err)
{
	return strerror(-err);
}

void
spawn_clear(struct spawn_result *result)
{
	free(result->out);
	free(result->err);
	*result = (struct spawn_result){ 0 };
}

struct conf *
answers_conf(const char *text)
{
	struct conf_report report = { 0 };
	struct conf *conf;

	answers_set((const uint8_t *)text, strlen(text));
	conf = conf_read(ANSWERS_INPUT, NULL, &report);
	answers_clear();
	FUZZ_CHECK(conf);
	return conf;
}
