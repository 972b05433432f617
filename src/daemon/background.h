/*
 * background: leaving the terminal. The parent waits until the child says
 * how its start went, so that a script sees it in the exit status.
 */
#ifndef UNATATP_DAEMON_BACKGROUND_H
#define UNATATP_DAEMON_BACKGROUND_H

#include <stdbool.h>

struct background {
	bool parent; /* true: RESULT is what the child said */
	int result;  /* BACKGROUND_DIED when it said nothing */
	int fd;	     /* the child's end of the pipe */
};

#define BACKGROUND_DIED (-1)

/* Forks; both sides return 0. -errno when no child could be made. */
__attribute__((warn_unused_result)) int background_begin(struct background *b);

/*
 * The child tells the waiting parent RESULT. After a good start (0) it
 * lets go of the terminal; errors before it could still be seen there.
 */
void background_ready(struct background *b, int result);

#endif
