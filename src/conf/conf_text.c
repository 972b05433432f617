/*
 * What libconfig 1.5 does not keep, and what happens to it here (each is
 * pinned by a case in tests/golden):
 * - An integer without the suffix L is cut to 32 bits, one beyond 64 bits
 *   is cut too. Every integer gets the suffix, and saturates at 64 bits.
 * - A string at the end of a list is said to stand on the next token's
 *   line. That token is drawn up to the string.
 * - A comment that is never closed swallows the rest without a word, and a
 *   quote that is missing is noticed somewhere else. Both are mistakes.
 * - Included files are sought from the working directory, which a daemon
 *   leaves. They are put in here, sought beside the file that names them.
 */
#include "conf/conf_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sandbox.h"

#define DEPTH_MAX 10
#define FILE_BYTES_MAX (256u << 20)

/* One file on its way into the text. */
struct scan {
	struct conf_text *text;
	struct conf_report *report;
	struct report_place at;
	char *p;	 /* NUL-terminated, and ours to change */
	bool line_blank; /* nothing but blanks on this line so far */
	unsigned depth;
	int err;
};

static int append_file(struct conf_text *text, const char *path, unsigned depth,
    const struct scan *from, struct conf_report *report);

/* Room for N more items of SIZE in *ITEMS, doubling. */
static int
grow(void *items, size_t *room, size_t used, size_t n, size_t size)
{
	void **array = items;
	size_t wanted = *room ? *room : 64;
	void *fresh;

	if (used + n <= *room)
		return 0;
	while (wanted < used + n)
		wanted *= 2;
	fresh = reallocarray(*array, wanted, size);
	if (!fresh)
		return -ENOMEM;
	*array = fresh;
	*room = wanted;
	return 0;
}

static void
emit(struct scan *s, const char *bytes, size_t n)
{
	struct conf_text *t = s->text;

	if (s->err)
		return;
	s->err = grow(&t->data, &t->room, t->len, n + 1, 1);
	if (s->err)
		return;
	memcpy(t->data + t->len, bytes, n);
	t->len += n;
	t->data[t->len] = '\0';
}

/* A line of the text begins here, at s->at. */
static void
begin_line(struct scan *s)
{
	struct conf_text *t = s->text;

	s->line_blank = true;
	if (!s->err)
		s->err = grow(&t->lines, &t->lines_room, t->n_lines, 1,
		    sizeof(*t->lines));
	if (!s->err)
		t->lines[t->n_lines++] = s->at;
}

static void
take_newline(struct scan *s)
{
	s->p++;
	s->at.line++;
	emit(s, "\n", 1);
	begin_line(s);
}

static void
mistake(struct scan *s, const char *what)
{
	if (!s->err)
		report_error(s->report, s->at, "%s", what);
	s->err = -EINVAL;
}

static bool
at_comment(const char *p)
{
	return *p == '#' || (*p == '/' && (p[1] == '/' || p[1] == '*'));
}

/* The end of the comment at P; NULL when it has none. */
static char *
comment_end(char *p)
{
	char *end;

	if (p[0] != '/' || p[1] != '*')
		return p + strcspn(p, "\n");
	end = strstr(p + 2, "*/");
	return end ? end + 2 : NULL;
}

/* Comments leave nothing but their newlines. */
static void
take_comment(struct scan *s)
{
	char *end = comment_end(s->p);

	if (!end) {
		mistake(s, "this comment has no end: \"*/\" is missing");
		return;
	}
	while (s->p < end) {
		if (*s->p == '\n')
			take_newline(s);
		else
			s->p++;
	}
	emit(s, " ", 1);
}

/* The first byte from P on that is neither blank nor in a comment. */
static char *
skip_blanks(char *p)
{
	while (p && *p) {
		if (at_comment(p))
			p = comment_end(p);
		else if (isspace((unsigned char)*p))
			p++;
		else
			break;
	}
	return p;
}

/* Draws a bracket or comma after a list's string up to it. */
static void
draw_up(struct scan *s)
{
	char *next = skip_blanks(s->p);

	if (!next || !*next || !strchr("]),", *next))
		return;
	emit(s, next, 1);
	s->text->last = *next;
	*next = ' ';
}

/*
 * libconfig 1.5 loses the memory of a string that it did not expect, so it
 * shall not meet one: it follows "=", a bracket, a comma or a string. (One
 * slips through: a comma may end an option, and nothing follows that.)
 */
static void
take_string(struct scan *s)
{
	char *end = s->p + 1;

	if (!s->text->last || !strchr("=:[(,\"", s->text->last)) {
		mistake(s,
		    "a string is out of place here (is \"=\" or \",\" "
		    "missing before it?)");
		return;
	}
	while (*end && *end != '"' && *end != '\n')
		end += *end == '\\' && end[1] && end[1] != '\n' ? 2 : 1;
	if (*end != '"') {
		mistake(s, "the closing quote is missing on this line");
		return;
	}
	end++;
	emit(s, s->p, (size_t)(end - s->p));
	s->p = end;
	s->text->last = '"';
	draw_up(s);
}

/*
 * Takes the number at s->p, if it is one. A fraction goes by as it is: no
 * option wants it, and whoever reads the option says so.
 */
static bool
take_number(struct scan *s)
{
	char *digits = s->p + (*s->p == '+' || *s->p == '-'), *end;
	bool hex = s->p[0] == '0' && tolower((unsigned char)s->p[1]) == 'x';
	long long value;
	char literal[32];

	if (!isdigit((unsigned char)*digits))
		return false;
	value = strtoll(s->p, &end, hex ? 16 : 10); /* saturates */
	if (!hex && *end && strchr(".eE", *end)) {
		end += strspn(end, "0123456789.eE+-");
		emit(s, s->p, (size_t)(end - s->p));
		s->p = end;
		return true;
	}
	for (int i = 0; i < 2 && *end == 'L'; i++)
		end++;
	emit(s, literal,
	    (size_t)snprintf(literal, sizeof(literal), "%lldL", value));
	s->p = end;
	return true;
}

static void
take_word(struct scan *s)
{
	size_t n = 1;

	while (isalnum((unsigned char)s->p[n]) ||
	    (s->p[n] && strchr("-_*", s->p[n])))
		n++;
	emit(s, s->p, n);
	s->p += n;
}

/* NAME beside the file that includes it. */
static int
include_beside(struct scan *s, const char *name)
{
	const char *slash = strrchr(s->at.file, '/');
	int folder = slash && *name != '/' ? (int)(slash - s->at.file) + 1 : 0;
	char *path;
	int err;

	if (asprintf(&path, "%.*s%s", folder, s->at.file, name) < 0)
		return -ENOMEM;
	err = append_file(s->text, path, s->depth + 1, s, s->report);
	free(path);
	return err;
}

/* @include "FILE" stands alone at the beginning of a line. */
static bool
take_include(struct scan *s)
{
	static const char word[] = "@include";
	char *name, *end;

	if (!s->line_blank || strncmp(s->p, word, sizeof(word) - 1))
		return false;
	name = s->p + sizeof(word) - 1;
	name += strspn(name, " \t");
	end = *name == '"' ? name + 1 + strcspn(name + 1, "\"\n") : name;
	if (*end != '"') {
		mistake(s, "@include wants a file's name in quotes");
		return true;
	}
	*end = '\0';
	if (!s->err)
		s->err = include_beside(s, name + 1);
	s->p = end + 1;
	emit(s, "\n", 1);
	begin_line(s);
	return true;
}

static void
take_next(struct scan *s)
{
	if (*s->p == '\n') {
		take_newline(s);
		return;
	}
	if (*s->p == ' ' || *s->p == '\t' || *s->p == '\r') {
		emit(s, s->p++, 1);
		return;
	}
	if (at_comment(s->p)) {
		take_comment(s);
		return;
	}
	if (take_include(s))
		return;
	s->line_blank = false;
	if (*s->p == '"') {
		take_string(s);
		return;
	}
	s->text->last = *s->p;
	if (isalpha((unsigned char)*s->p) || *s->p == '*')
		take_word(s);
	else if (!take_number(s))
		emit(s, s->p++, 1);
}

/* The text keeps NAME, for its lines to point to. */
static const char *
keep_name(struct conf_text *t, const char *name)
{
	char **files =
	    reallocarray(t->files, t->n_files + 1, sizeof(*t->files));
	char *copy = strdup(name);

	if (files)
		t->files = files;
	if (!files || !copy) {
		free(copy);
		return NULL;
	}
	return t->files[t->n_files++] = copy;
}

static int
append_text(struct conf_text *text, const char *name, char *data, size_t len,
    unsigned depth, struct conf_report *report)
{
	struct scan s = { .text = text,
		.report = report,
		.p = data,
		.line_blank = true,
		.depth = depth };

	s.at = (struct report_place){ keep_name(text, name), 1 };
	if (!s.at.file)
		return -ENOMEM;
	/* An included file's first line takes over the directive's. */
	if (text->n_lines)
		text->lines[text->n_lines - 1] = s.at;
	else
		begin_line(&s);
	emit(&s, "", 0);
	if (strlen(data) != len)
		mistake(&s, "there is a NUL byte in this file: it is no text");
	while (!s.err && *s.p)
		take_next(&s);
	return s.err;
}

/* A daemon that has started may read less than the one who started it. */
static const char *
mend_of(int err)
{
	return err == -EACCES && sandbox_limits_files()
	    ? " (since its start the daemon reads what its user may, below "
	      "/etc and the folders it had read then: move the file, mend its "
	      "permissions, or restart unatatp)"
	    : "";
}

static int
append_file(struct conf_text *text, const char *path, unsigned depth,
    const struct scan *from, struct conf_report *report)
{
	char *data = NULL;
	size_t len = 0;
	int err;

	if (depth > DEPTH_MAX) {
		report_error(report, from->at,
		    "includes nest too deep: does a file include itself?");
		return -EINVAL;
	}
	err = file_read(path, FILE_BYTES_MAX, &data, &len);
	if (!err)
		err = append_text(text, path, data, len, depth, report);
	else if (from)
		report_error(report, from->at, "cannot include \"%s\": %s%s",
		    path, strerror(-err), mend_of(err));
	else
		report_error(report, (struct report_place){ path, 0 }, "%s%s",
		    strerror(-err), mend_of(err));
	free(data);
	/* Only the first file's absence means that there is nothing. */
	return from && err ? -EINVAL : err;
}

int
conf_text_load(
    struct conf_text *text, const char *path, struct conf_report *report)
{
	*text = (struct conf_text){ 0 };
	return append_file(text, path, 0, NULL, report);
}

int
conf_text_set(struct conf_text *text, const char *name, const char *data,
    struct conf_report *report)
{
	char *copy = strdup(data);
	int err = -ENOMEM;

	*text = (struct conf_text){ 0 };
	if (copy)
		err = append_text(text, name, copy, strlen(copy), 0, report);
	free(copy);
	return err;
}

void
conf_text_free(struct conf_text *text)
{
	for (size_t i = 0; i < text->n_files; i++)
		free(text->files[i]);
	free(text->files);
	free(text->lines);
	free(text->data);
}

struct report_place
conf_text_place(const struct conf_text *text, unsigned line)
{
	if (line < 1)
		line = 1;
	if (line > text->n_lines)
		line = (unsigned)text->n_lines;
	return text->lines[line - 1];
}
