/*
 * arena: memory that lives as long as one run of a subcommand and goes all
 * at once. One thread. It never returns NULL: when there is no memory the
 * program says so and ends with 1. Not for the daemon.
 */
#ifndef UNATATP_DOCTOR_ARENA_H
#define UNATATP_DOCTOR_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *last; /* a zeroed arena is an empty one */
};

/* N zero bytes. */
void *arena_alloc(struct arena *arena, size_t n);

__attribute__((format(printf, 2, 3))) char *arena_printf(
    struct arena *arena, const char *format, ...);

/*
 * ARRAY of N elements of SIZE bytes with room for one more; it may have
 * moved. Begin with N = 0 and any ARRAY.
 */
void *arena_grow(struct arena *arena, void *array, size_t n, size_t size);

void arena_free(struct arena *arena);

#endif
