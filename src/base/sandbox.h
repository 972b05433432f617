/*
 * sandbox: what the kernel leaves to a thread once it has begun its work:
 * the system calls that it makes (seccomp(2)) and the folders that it reads
 * (landlock(7)). There is no way back. Each thread enters its own; what one
 * may do is a row in sandbox_calls.c.
 */
#ifndef UNATATP_BASE_SANDBOX_H
#define UNATATP_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Main that has kept root's capabilities may still load a BPF program. */
enum sandbox_role { SANDBOX_WORKER, SANDBOX_MAIN, SANDBOX_ROOT };

struct sandbox_folder {
	const char *path; /* NULL: none */
	bool sockets;	  /* they may be made and removed there */
};

/* What in this very process does not stand it, such as valgrind; or NULL. */
const char *sandbox_obstacle(void);

/*
 * From now on the calling thread makes the calls of ROLE; any other ends in
 * ENOSYS or, where nobody but an intruder would make it, ends the process.
 * 0, or -errno: -ENOTSUP when the program was built without it.
 */
__attribute__((warn_unused_result)) int sandbox_limit_calls(
    enum sandbox_role role);

/*
 * From now on the calling thread reads what lies below FOLDERS, and nothing
 * else. One that does not exist is passed over. 0, or -errno: -ENOSYS or
 * -EOPNOTSUPP when the kernel has no Landlock.
 */
__attribute__((warn_unused_result)) int sandbox_limit_files(
    const struct sandbox_folder *folders, size_t n);

/* True once the folders are limited: what is refused then may be elsewhere. */
bool sandbox_limits_files(void);

/* What this kernel has: a version, 1 or above, or -errno as above. */
int sandbox_files_version(void);

/* Likewise of system calls; 0, or -errno. */
int sandbox_calls_probe(void);

#endif
