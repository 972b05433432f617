/*
 * clock: the monotonic clock, which no clock jump moves, unless it says so.
 * Any thread.
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

/*
 * The wall clock, in seconds since 1970. Exact, unlike time(2)'s, which is a
 * tick behind the times of files (kernel: Documentation/filesystems/
 * multigrain-ts.rst).
 */
int64_t clock_wall_s(void);

#endif
