/*
 * wire: one direction of the link, in virtual time. A packet waits in a
 * drop-tail queue of so many bytes, takes size / rate to leave it, is lost
 * or not, and is due after the delay and its jitter, never before one that
 * left earlier. It knows neither descriptors nor clocks: the caller says
 * what time it is, in nanoseconds. A packet belongs to the wire from
 * wire_arrive on, and to the caller again after wire_take.
 */
#ifndef UNATATP_LAB_WIRE_H
#define UNATATP_LAB_WIRE_H

#include <stdint.h>
#include <sys/queue.h>

#include "loss.h"

#define WIRE_NEVER UINT64_MAX
#define WIRE_PACKET 2048 /* bytes; more than any MTU that is used here */

struct packet {
	STAILQ_ENTRY(packet) next;
	uint64_t arrived, due;
	uint32_t size;
	unsigned char bytes[];
};
STAILQ_HEAD(packets, packet);

struct wire_counts {
	uint64_t packets, bytes;       /* that came */
	uint64_t lost, dropped;	       /* by the model, by a full queue */
	uint64_t delivered, out_bytes; /* taken at the other end */
	uint64_t queue_max, queue_now; /* bytes */
};

struct wire {
	double rate;	/* bits a second; IP headers count */
	uint64_t delay; /* nanoseconds, one way */
	uint64_t jitter;
	uint64_t limit; /* bytes that may wait */
	struct loss loss;

	struct packets queue, line;
	uint64_t free_at;  /* when the packet before has left */
	uint64_t last_due; /* no packet is due before this */
	struct wire_counts counts;
};

void wire_init(struct wire *w);

/* Frees what is under way. */
void wire_clear(struct wire *w);

/* Counts from nothing; the next packet has index 0. */
void wire_reset(struct wire *w);

void wire_arrive(struct wire *w, uint64_t now, struct packet *p);

/* When wire_take should next be asked, or WIRE_NEVER. */
uint64_t wire_next(const struct wire *w);

/* A packet that is due, or NULL. */
struct packet *wire_take(struct wire *w, uint64_t now);

#endif
