/*
 * sampler: looks at the live flows every second, a few at a time so
 * that no worker pauses for it, and keeps what it saw for five minutes, by
 * policy. How long a worker lets it wait is the lag of that worker's loop.
 * Main's thread owns it and may read it at any time.
 */
#ifndef UNATATP_DAEMON_SAMPLER_H
#define UNATATP_DAEMON_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "flow/sample.h"

#define SAMPLER_PERIOD_MS 1000
#define SAMPLER_POINTS 300 /* five minutes */

struct daemon;
struct sampler;

/* One look; what was not measured is NAN. */
struct sampler_point {
	int64_t ms;	  /* clock_ms; 0: there was none yet */
	float rates[2];	  /* of all bytes, bits a second, by relay_lane */
	float rtt_us[2];  /* the mean of the legs that carried bytes */
	float retrans[2]; /* the share of segments that were sent again */
};

struct sampler_series {
	const char *policy; /* interned; NULL: all */
	struct sampler_point points[SAMPLER_POINTS];
};

/* Looks at D's workers as soon as its loop turns. NULL with errno. */
struct sampler *sampler_new(const struct daemon *d);

/* Sends no more looks. NULL is allowed. */
void sampler_stop(struct sampler *s);

/*
 * After sampler_stop, once the workers are gone and main's mailbox is
 * empty: no look is under way. NULL is allowed.
 */
void sampler_free(struct sampler *s);

/* The last look that is complete, and its age; all zero before that. */
const struct sample *sampler_last(const struct sampler *s, int64_t *age_ms);

/* Of POLICY, an interned name, or NULL for all. NULL: never seen. */
const struct sampler_series *sampler_series(
    const struct sampler *s, const char *policy);

/* The I-th point of SERIES, the oldest first. */
const struct sampler_point *sampler_point(
    const struct sampler *s, const struct sampler_series *series, size_t i);

/* The longest that WORKER made a message wait in the last look, in us. */
int64_t sampler_lag_us(const struct sampler *s, size_t worker);

#endif
