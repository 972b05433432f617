#include "doctor/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *before;
	max_align_t bytes[];
};

void *
arena_alloc(struct arena *arena, size_t n)
{
	struct arena_block *block = calloc(1, sizeof(*block) + n);

	if (!block) {
		fprintf(stderr, "unatatp: out of memory\n");
		exit(1);
	}
	block->before = arena->last;
	arena->last = block;
	return block->bytes;
}

char *
arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	text = arena_alloc(arena, (size_t)n + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)n + 1, format, args);
	va_end(args);
	return text;
}

void *
arena_grow(struct arena *arena, void *array, size_t n, size_t size)
{
	void *more;

	/* There is room up to the next power of two. */
	if (n & (n - 1))
		return array;
	more = arena_alloc(arena, (n ? 2 * n : 1) * size);
	if (n)
		memcpy(more, array, n * size);
	return more;
}

void
arena_free(struct arena *arena)
{
	while (arena->last) {
		struct arena_block *before = arena->last->before;

		free(arena->last);
		arena->last = before;
	}
}
