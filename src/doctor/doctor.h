/*
 * doctor: a table of checks of the machine around the daemon. Each looks at
 * one thing and says what it found and which commands mend it. Without a
 * probe it changes nothing. One thread; it owns every text it hands out.
 */
#ifndef UNATATP_DOCTOR_DOCTOR_H
#define UNATATP_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "doctor/arena.h"

/* From good to bad: a row's verdict is the worst of its findings. */
enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_UNKNOWN,
	DOCTOR_WARNING,
	DOCTOR_FAILURE,
};

#define DOCTOR_AS_IT_SHOULD_BE "as it should be" /* nothing to tell */

struct doctor_result {
	const char *id, *title;
	const char *looked_at;
	enum doctor_verdict verdict;
	const char *finding;
	const char *mend; /* commands, a line each; "": none */
};

/* What the caller wants beside the checks. */
struct doctor_wish {
	int64_t rate; /* bits a second; 0: not asked */
	int64_t rtt;  /* ms */
	bool probe;   /* a real connection; be root */
};

struct doctor {
	struct arena arena;
	struct doctor_result *results;
	size_t n_results;
};

/* Runs all checks; PATH is CONF's file, or NULL. doctor_clear it. */
void doctor_run(struct doctor *doctor, const struct conf *conf,
    const char *path, const struct doctor_wish *link);
void doctor_clear(struct doctor *doctor);

/* The worst of all; unknown ones alone are no fault: DOCTOR_OK. */
enum doctor_verdict doctor_verdict(const struct doctor *doctor);

/* "ok" "unknown" "warning" "failure" */
const char *doctor_word(enum doctor_verdict verdict);

#endif
