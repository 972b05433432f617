/*
 * loss: which packets a link loses. Gilbert and Elliott's model: a good and
 * a bad state, each with its own probability; Bernoulli's is the one that
 * never leaves the good state. What packet number n meets depends on the
 * seed and n alone, so that each run loses the same ones.
 */
#ifndef UNATATP_LAB_LOSS_H
#define UNATATP_LAB_LOSS_H

#include <stdbool.h>
#include <stdint.h>

struct loss {
	double good, bad; /* probability to lose a packet in each state */
	double to_bad, to_good;
	uint64_t seed;

	uint64_t index; /* of the next packet */
	bool is_bad;
};

/* Begins again with packet 0, in the good state. */
void loss_reset(struct loss *l);

/* Whether the next packet is lost. */
bool loss_next(struct loss *l);

/*
 * A number in [0, 1) for packet INDEX; SALT sets apart the questions that
 * are asked about one packet.
 */
double loss_draw(uint64_t seed, uint64_t index, unsigned salt);

#endif
