#include "base/clock.h"

#include <time.h>

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_coarse_ms(void)
{
	return read_ms(CLOCK_MONOTONIC_COARSE);
}

struct timeval
clock_timeval(int64_t ms)
{
	return (struct timeval){
		.tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000,
	};
}

int64_t
clock_wall_s(void)
{
	return read_ms(CLOCK_REALTIME) / 1000;
}
