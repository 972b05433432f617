/*
 * clock: the monotonic clock, which no clock jump moves. Any thread.
 */
#ifndef UNATATP_BASE_CLOCK_H
#define UNATATP_BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>

int64_t clock_ms(void);
int64_t clock_us(void);

/* A few milliseconds behind at most, at a quarter of the price. */
int64_t clock_coarse_ms(void);

struct timeval clock_timeval(int64_t ms);

#endif
