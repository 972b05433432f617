#include "conf/report.h"

#include <stdio.h>

#define LINE_MAX_BYTES 1024 /* longer ones are cut */

void
report_add_v(struct conf_report *report, enum conf_severity severity,
    struct report_place place, const char *format, va_list ap)
{
	char line[LINE_MAX_BYTES], text[LINE_MAX_BYTES / 2], number[16] = "";

	if (severity == CONF_ERROR)
		report->errors++;
	else
		report->warnings++;
	if (!report->emit)
		return;
	if (place.line)
		snprintf(number, sizeof(number), ":%u", place.line);
	vsnprintf(text, sizeof(text), format, ap);
	snprintf(line, sizeof(line), "%s%s: %s%s", place.file, number,
	    severity == CONF_WARNING ? "warning: " : "", text);
	report->emit(report->arg, severity, line);
}

void
report_error(struct conf_report *report, struct report_place place,
    const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	report_add_v(report, CONF_ERROR, place, format, ap);
	va_end(ap);
}
