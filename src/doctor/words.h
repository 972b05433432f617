/* words: a line that a program printed, split as a shell would. */
#ifndef UNATATP_DOCTOR_WORDS_H
#define UNATATP_DOCTOR_WORDS_H

#include <stddef.h>

#include "doctor/arena.h"

/*
 * Fills WORDS, MOST at most, with those of TEXT; double quotes and
 * backslashes hold one together. How many; they are ARENA's.
 */
size_t words_split(
    struct arena *arena, const char *text, char **words, size_t most);

#endif
