#include "loss.h"

enum { DRAW_STATE = 1, DRAW_LOSS = 2 };

/* The finaliser of splitmix64: every bit in stirs every bit out. */
static uint64_t
stir(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

double
loss_draw(uint64_t seed, uint64_t index, unsigned salt)
{
	uint64_t x = stir(seed + 0x9e3779b97f4a7c15u * salt);

	x = stir(x + 0x9e3779b97f4a7c15u * (index + 1));
	return (double)(x >> 11) * 0x1p-53;
}

void
loss_reset(struct loss *l)
{
	l->index = 0;
	l->is_bad = false;
}

bool
loss_next(struct loss *l)
{
	uint64_t n = l->index++;
	double change = l->is_bad ? l->to_good : l->to_bad;

	if (loss_draw(l->seed, n, DRAW_STATE) < change)
		l->is_bad = !l->is_bad;
	return loss_draw(l->seed, n, DRAW_LOSS) <
	    (l->is_bad ? l->bad : l->good);
}
