#include "conf/suggest.h"

#include <stddef.h>
#include <string.h>

#define WORD_MAX 32 /* longer ones are not compared */

static unsigned
smallest(unsigned a, unsigned b, unsigned c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

/*
 * How many letters must be put in, left out, changed, or swapped with
 * their neighbour to make B of A ("optimal string alignment").
 */
static unsigned
distance(const char *a, size_t len_a, const char *b, size_t len_b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (unsigned i = 0; i <= len_a; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= len_b; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		for (size_t j = 1; j <= len_b; j++) {
			unsigned change = a[i - 1] != b[j - 1];

			d[i][j] = smallest(d[i - 1][j] + 1, d[i][j - 1] + 1,
			    d[i - 1][j - 1] + change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[len_a][len_b];
}

struct suggest
suggest_for(const char *word)
{
	return (struct suggest){ .word = word };
}

void
suggest_offer(struct suggest *s, const char *candidate)
{
	size_t len = strlen(s->word), len_c = strlen(candidate);
	unsigned d;

	if (len > WORD_MAX || len_c > WORD_MAX)
		return;
	d = distance(s->word, len, candidate, len_c);
	/* A third of the letters may be wrong, one in any case. */
	if (d > (len > 5 ? len / 3 : 1))
		return;
	if (s->best && s->distance <= d)
		return;
	s->best = candidate;
	s->distance = d;
}
