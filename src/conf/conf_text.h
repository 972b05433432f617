/*
 * conf_text: the text of a configuration file as libconfig shall see it,
 * its includes put in, and where each line of it came from. libconfig 1.5
 * loses what this keeps (see conf_text.c). Belongs to the reader.
 */
#ifndef UNATATP_CONF_CONF_TEXT_H
#define UNATATP_CONF_CONF_TEXT_H

#include <stddef.h>

#include "conf/report.h"

struct conf_text {
	char *data; /* NUL-terminated */
	size_t len, room;
	struct report_place *lines; /* of line i + 1 of data */
	size_t n_lines, lines_room;
	char **files; /* the names that lines point to */
	size_t n_files;
	char last; /* the last byte that meant something; 0: none yet */
};

/*
 * Reads PATH and what it includes. What is wrong goes to REPORT. Returns
 * 0 or -errno (-ENOENT: no PATH, -EINVAL: a mistake in the text); free
 * the text in either case.
 */
__attribute__((warn_unused_result)) int conf_text_load(
    struct conf_text *text, const char *path, struct conf_report *report);

/* The same from memory; NAME stands for the file. */
__attribute__((warn_unused_result)) int conf_text_set(struct conf_text *text,
    const char *name, const char *data, struct conf_report *report);

void conf_text_free(struct conf_text *text);

/* Where line LINE (from 1) of the text came from. */
struct report_place conf_text_place(
    const struct conf_text *text, unsigned line);

#endif
