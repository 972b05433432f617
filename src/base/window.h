/*
 * window: lets a connection begin with a larger congestion window than the
 * kernel's ten segments. No socket option does that; a small BPF program
 * turns one of our own (WINDOW_OPTION, for sock_begin_window) into it, on
 * sockets of the cgroup that it hangs on. Owned by the process; any thread.
 */
#ifndef UNATATP_BASE_WINDOW_H
#define UNATATP_BASE_WINDOW_H

#define WINDOW_LEVEL 0x756e6174 /* "unat": nobody else's */
#define WINDOW_OPTION 1

/*
 * Whether this kernel can. 0, or -errno: -EPERM when the caller may not
 * even ask (it takes CAP_BPF and CAP_NET_ADMIN), -ENOTSUP when the program
 * was built without it.
 */
__attribute__((warn_unused_result)) int window_probe(void);

/*
 * Hangs the program on our cgroup, for as long as this process lives. 0,
 * also when it hangs there already, or -errno as above; -ENOENT when there
 * is no cgroup v2.
 */
__attribute__((warn_unused_result)) int window_allow(void);

/* What an error of these means, for the log. */
const char *window_why(int err);

#endif
