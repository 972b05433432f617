/*
 * log: one line a message to stderr or syslog. A sink that would block
 * loses the line and counts it: logging never stalls the relay. Any thread
 * may call what does not say otherwise.
 */
#ifndef UNATATP_BASE_LOG_H
#define UNATATP_BASE_LOG_H

#include <stdbool.h>

/* syslog(3)'s numbers, so that a level needs no translation. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* auto: stderr in the foreground, syslog in the background. */
enum log_target { LOG_TARGET_AUTO, LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };

#define LOG_LINE_MAX 1024 /* longer lines are cut */

/*
 * Chooses the sink; BACKGROUND decides what `auto` means. Before there is
 * another thread: nothing guards the sink.
 */
void log_set(enum log_target target, bool background);

void log_set_level(enum log_level level);

/* Lines a second that log_limited lets through; 0: all. */
void log_set_rate(unsigned max_per_second);

bool log_enabled(enum log_level level);

/*
 * Takes a token for a message of the flow path, which a storm could
 * repeat without end; false: counted as suppressed, say nothing. Ask
 * before the work that a line costs. What was suppressed is reported
 * with the next line that passes.
 */
bool log_allow(enum log_level level);

/*
 * Until it is called with NULL, what the calling thread logs at warning or
 * above goes to FN, too, whatever the level in force: whoever asked for
 * something is told what a log would say of it.
 */
void log_tee(
    void (*fn)(void *arg, enum log_level level, const char *line), void *arg);

/* Writes one line, unlimited: for what happens seldom. */
__attribute__((format(printf, 2, 3))) void log_line(
    enum log_level level, const char *format, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
