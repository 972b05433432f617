/*
 * privs: giving up what root may do, before any other thread exists
 * (capabilities belong to a thread), and descriptor limits.
 */
#ifndef UNATATP_BASE_PRIVS_H
#define UNATATP_BASE_PRIVS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A set of capabilities: the sum of these, such as PRIVS_CAP(CAP_NET_RAW). */
#define PRIVS_CAP(number) (UINT64_C(1) << (number))

/*
 * Becomes USER, with no more capabilities than KEEP, which stay in force;
 * main also keeps CAP_DAC_READ_SEARCH, asleep, for privs_wake_reader. Only
 * root can become another; anyone else stays who he is and gives up the
 * rest of what he may do. 0, or -errno: -ENOENT for no such user.
 */
__attribute__((warn_unused_result)) int privs_drop(
    const char *user, uint64_t keep);

/* Those of WANTED that privs_drop gave up, although we had them. */
uint64_t privs_given_up(uint64_t wanted);

/* No program that is run gets more than we have. 0 or -errno. */
__attribute__((warn_unused_result)) int privs_gain_none(void);

/* Our memory is ours: no core of it, and no debugger but root's. */
void privs_hide_memory(void);

/*
 * Who makes files for USER ("": the caller) and GROUP ("": USER's).
 * 0, or -ENOENT when there is no such user or group.
 */
__attribute__((warn_unused_result)) int privs_find(
    const char *user, const char *group, uid_t *uid, gid_t *gid);

/*
 * From now on files are sought and made as UID and GID; privs_files_own
 * ends it. Unlike chown(2) it leaves no moment in which a file belongs to
 * the wrong one. Nothing happens where that is not allowed.
 */
void privs_files_as(uid_t uid, gid_t gid);
void privs_files_own(void);

/*
 * Between the two main may read any file, such as a configuration that
 * only root can. Nothing happens where privs_drop did not.
 */
void privs_wake_reader(void);
void privs_sleep_reader(void);

/* True with CAP_NET_ADMIN, which root has not in every container. */
bool privs_has_net_admin(void);
/* The calling thread gives way to others from now on, as by nice(1). */
void privs_give_way(void);

/* The calling thread gives up the capability that privs_wake_reader wakes. */
void privs_forget_reader(void);

#define PRIVS_FDS_RESERVED 4 /* descriptors that flows leave to main */

/*
 * Raises the soft descriptor limit to the hard one, but for a reserve, and
 * the hard one to WANTED where it is lower. Returns how many there may be,
 * the reserve included; less than WANTED means that the kernel refused
 * (CAP_SYS_RESOURCE).
 */
size_t privs_raise_fd_limit(size_t wanted);

/*
 * Between true and false main may take from the reserve what flows have
 * left nothing of. What it opens so stays open, and does not go to a flow
 * when it is closed.
 */
void privs_use_reserve(bool on);

#endif
