/*
 * privs: giving up what root may do, before any other thread exists
 * (capabilities belong to a thread), and descriptor limits. Main only.
 */
#ifndef UNATATP_BASE_PRIVS_H
#define UNATATP_BASE_PRIVS_H

#include <stddef.h>

/*
 * Becomes USER, keeping CAP_NET_ADMIN (TPROXY, marks) and CAP_NET_RAW
 * (binding to an interface) so that a reload still works. Only root can;
 * anyone else stays who he is. 0, or -errno: -ENOENT for no such user.
 */
__attribute__((warn_unused_result)) int privs_drop(const char *user);

/*
 * Raises the soft descriptor limit to the hard one, and the hard one to
 * WANTED where it is lower. Returns the limit now in force; less than
 * WANTED means that the kernel refused (CAP_SYS_RESOURCE).
 */
size_t privs_raise_fd_limit(size_t wanted);

#endif
