/*
 * plan: commands for the programs that change the machine, in order. It
 * can be printed as shell that does the same, or carried out. Whoever
 * makes a plan clears it. Only inside src/gateway; blocks.
 */
#ifndef UNATATP_GATEWAY_PLAN_H
#define UNATATP_GATEWAY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct plan_step {
	char *command; /* words with a blank between them, no quoting */
	char *input;   /* its standard input; NULL: none */
	bool done;     /* what it would do is there: shown, not run */
	bool optional; /* may fail */
};

struct plan {
	struct plan_step *steps;
	size_t n;
	bool failed; /* no memory: plan_run refuses */
};

/* Adds a step; STEP's texts are copied. */
void plan_add(struct plan *plan, const struct plan_step *step);

/* As shell, every line after PREFIX ("# " for a plan not to be run). */
void plan_print(const struct plan *plan, const char *prefix, FILE *out);

/*
 * Carries the steps out until one fails. 0, or -errno with *SAID as
 * "COMMAND: what it said" (NULL without memory), the caller's to free.
 */
__attribute__((warn_unused_result)) int plan_run(
    const struct plan *plan, char **said);

void plan_clear(struct plan *plan);

#endif
