#include "daemon/trim.h"

#include <malloc.h>
#include <stddef.h>

#include "config.h"
#include "daemon/signals.h"
#include "daemon/state.h"

/* What is worth a walk through the free lists of every heap, bytes. */
#define LEAST (512 << 10)

void
trim_look(struct trim *t, const struct daemon *d)
{
	struct stats sum = { 0 };
	uint64_t high = 0;

	for (size_t i = 0; i < d->shared.n_workers; i++)
		high += worker_take_high(d->workers[i]);
	if (high > t->high)
		t->high = high;
	signals_sum_stats(d, &sum);
	if (t->high < LEAST || sum.memory_held > t->high / 2)
		return;
#ifdef HAVE_MALLOC_TRIM
	malloc_trim(0);
#endif
	t->high = sum.memory_held;
}
