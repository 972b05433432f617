/*
 * report: how the findings of a reading are worded and counted. Belongs
 * to the thread that reads.
 */
#ifndef UNATATP_CONF_REPORT_H
#define UNATATP_CONF_REPORT_H

#include <stdarg.h>

#include "conf/conf.h"

/* Where a finding is; line 0: the file as a whole. */
struct report_place {
	const char *file;
	unsigned line;
};

__attribute__((format(printf, 4, 0))) void report_add_v(
    struct conf_report *report, enum conf_severity severity,
    struct report_place place, const char *format, va_list ap);

__attribute__((format(printf, 3, 4))) void report_error(
    struct conf_report *report, struct report_place place, const char *format,
    ...);

#endif
