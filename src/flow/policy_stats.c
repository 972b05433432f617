#include "flow/policy_stats.h"

#include <errno.h>
#include <stdlib.h>

int
policy_book_adopt(struct policy_book *book, size_t n)
{
	free(book->by_index);
	book->by_index = calloc(n, sizeof(struct policy_stats *));
	return book->by_index ? 0 : -ENOMEM;
}

struct policy_stats *
policy_book_find(struct policy_book *book, const char *name, size_t index)
{
	struct policy_stats *first = atomic_load(&book->first), *p = first;

	if (!book->by_index || book->by_index[index])
		return book->by_index ? book->by_index[index] : NULL;
	while (p && p->name != name)
		p = p->next;
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->name = name;
		p->next = first;
		atomic_store(&book->first, p);
	}
	book->by_index[index] = p;
	return p;
}

void
policy_book_clear(struct policy_book *book)
{
	struct policy_stats *p = atomic_load(&book->first), *next;

	for (; p; p = next) {
		next = p->next;
		free(p);
	}
	free(book->by_index);
}

const struct policy_stats *
policy_book_first(const struct policy_book *book)
{
	return atomic_load(&book->first);
}

void
policy_stats_sum(struct policy_stats *sum, const struct policy_stats *from)
{
#define X(row)               \
	stats_add(&sum->row, \
	    atomic_load_explicit(&from->row, memory_order_relaxed));
	POLICY_STATS_TABLE(X)
#undef X
	for (int i = 0; i < ENDING_COUNT; i++)
		stats_add(&sum->endings[i],
		    atomic_load_explicit(
			&from->endings[i], memory_order_relaxed));
#define X(row, scale) histogram_sum(&sum->row, &from->row);
	POLICY_HISTOGRAM_TABLE(X)
#undef X
}
