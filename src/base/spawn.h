/*
 * spawn: running another program to its end, with a text for its standard
 * input and what it says kept. Blocks: for subcommands, not for the daemon.
 */
#ifndef UNATATP_BASE_SPAWN_H
#define UNATATP_BASE_SPAWN_H

struct spawn_result {
	int status; /* its exit status, or 128 and the signal's number */
	char *out;  /* its standard output, NUL-terminated */
	char *err;  /* its standard error, without the last newline */
};

/*
 * Runs ARGV[0], looked up in PATH and then in the places of system
 * programs, in the locale C, with INPUT (NULL: none) as standard input.
 * RESULT is the caller's to spawn_clear. 0, or -errno when it did not run
 * to its end: -ENOENT no such program, -ETIMEDOUT it was killed after
 * 30 seconds.
 */
__attribute__((warn_unused_result)) int spawn_run(
    const char *const argv[], const char *input, struct spawn_result *result);

/* What ERR of spawn_run means. */
const char *spawn_error(int err);

void spawn_clear(struct spawn_result *result);

#endif
