/*
 * What is in no row ends in ENOSYS, as on an older kernel: a newer C library
 * or libevent that tries a newer call falls back on what it knew before, so
 * an upgrade of theirs does no harm. What only an intruder would call ends
 * the process: the service manager starts a new one.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sandbox.h"

#define WORKER (1 << SANDBOX_WORKER)
#define MAIN (1 << SANDBOX_MAIN | 1 << SANDBOX_ROOT)
#define ROOT (1 << SANDBOX_ROOT)
#define BOTH (WORKER | MAIN)

struct call {
	const char *name;
	unsigned roles;
};

/* clang-format off */
static const struct call allowed[] = {
	/* The loop. */
	{ "epoll_wait", BOTH }, { "epoll_pwait", BOTH },
	{ "epoll_pwait2", BOTH }, { "epoll_ctl", BOTH },
	{ "epoll_create1", MAIN }, { "eventfd2", MAIN },
	{ "poll", BOTH }, { "ppoll", BOTH }, { "ppoll_time64", BOTH },
	{ "timerfd_settime", BOTH }, { "timerfd_settime64", BOTH },
	{ "clock_gettime", BOTH }, { "clock_gettime64", BOTH },
	{ "clock_getres", BOTH }, { "gettimeofday", BOTH }, { "time", BOTH },
	{ "restart_syscall", BOTH },

	/* Sockets; which ones may be made, see add_sockets. */
	{ "accept", BOTH }, { "accept4", BOTH }, { "bind", BOTH },
	{ "connect", BOTH }, { "listen", MAIN }, { "shutdown", BOTH },
	{ "getsockname", BOTH }, { "getpeername", BOTH },
	{ "getsockopt", BOTH }, { "setsockopt", BOTH },
	{ "recv", BOTH }, { "recvfrom", BOTH }, { "recvmsg", BOTH },
	{ "send", BOTH }, { "sendto", BOTH }, { "sendmsg", BOTH },
	{ "sendmmsg", BOTH },

	/* Bytes. */
	{ "read", BOTH }, { "readv", BOTH }, { "write", BOTH },
	{ "writev", BOTH }, { "splice", BOTH },
	{ "sendfile", MAIN }, { "sendfile64", MAIN },
	{ "pipe2", BOTH }, { "close", BOTH }, { "close_range", BOTH },
	{ "fcntl", BOTH }, { "fcntl64", BOTH }, { "dup", BOTH },
	{ "dup2", BOTH }, { "dup3", BOTH },

	/* Memory and threads. */
	{ "brk", BOTH }, { "munmap", BOTH }, { "mremap", BOTH },
	{ "madvise", BOTH }, { "futex", BOTH }, { "futex_time64", BOTH },
	{ "sched_yield", BOTH }, { "getrandom", BOTH }, { "getpid", BOTH },
	{ "gettid", BOTH }, { "exit", BOTH }, { "exit_group", BOTH },
	{ "rt_sigreturn", BOTH }, { "sigreturn", BOTH },
	{ "rt_sigprocmask", BOTH }, { "rt_sigaction", BOTH },
	{ "sigaltstack", BOTH }, { "rseq", BOTH }, { "getcpu", BOTH },
	{ "set_robust_list", BOTH }, { "sched_getaffinity", BOTH },
	{ "sysinfo", MAIN }, { "uname", MAIN },

	/* Files: a configuration to read again, what the kernel tells. */
	{ "open", MAIN }, { "openat", MAIN }, { "access", MAIN },
	{ "faccessat", MAIN }, { "faccessat2", MAIN },
	{ "stat", MAIN }, { "stat64", MAIN }, { "lstat", MAIN },
	{ "lstat64", MAIN }, { "newfstatat", MAIN }, { "fstatat64", MAIN },
	{ "statx", MAIN }, { "statfs", MAIN }, { "statfs64", MAIN },
	{ "fstatfs", MAIN }, { "fstatfs64", MAIN },
	{ "fstat", MAIN }, { "fstat64", MAIN },
	{ "readlink", MAIN }, { "readlinkat", MAIN },
	{ "getdents", MAIN }, { "getdents64", MAIN }, { "lseek", MAIN },
	{ "_llseek", MAIN }, { "pread64", MAIN }, { "getcwd", MAIN },

	/* A UNIX socket of the metrics, and its end. */
	{ "umask", MAIN }, { "unlink", MAIN }, { "unlinkat", MAIN },
	{ "mkdir", MAIN }, { "mkdirat", MAIN }, { "chmod", MAIN },
	{ "fchmodat", MAIN }, { "chown", MAIN }, { "chown32", MAIN },
	{ "lchown", MAIN }, { "lchown32", MAIN }, { "fchownat", MAIN },
	{ "setfsuid", MAIN }, { "setfsuid32", MAIN },
	{ "setfsgid", MAIN }, { "setfsgid32", MAIN },

	/* Who it is; the capability that reads, and the descriptors' limit. */
	{ "getuid", MAIN }, { "getuid32", MAIN }, { "geteuid", MAIN },
	{ "geteuid32", MAIN }, { "getgid", MAIN }, { "getgid32", MAIN },
	{ "getegid", MAIN }, { "getegid32", MAIN }, { "getppid", MAIN },
	{ "capget", MAIN }, { "capset", MAIN }, { "getrlimit", MAIN },
	{ "ugetrlimit", MAIN }, { "setrlimit", MAIN }, { "prlimit64", MAIN },
	{ "getrusage", MAIN }, { "times", MAIN }, { "getpriority", MAIN },

	{ "bpf", ROOT }, /* an initial_window that a reload brings */
};

/* These end the process. Ours makes none of them, whatever its libraries. */
static const char *const deadly[] = {
	"execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "pidfd_getfd", "perf_event_open",
	"userfaultfd", "modify_ldt",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"init_module", "finit_module", "delete_module", "kexec_load",
	"kexec_file_load", "reboot", "mount", "umount2", "pivot_root",
	"chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig",
	"mount_setattr", "setns", "unshare", "open_by_handle_at",
	"keyctl", "add_key", "request_key", "acct",
	"swapon", "swapoff", "quotactl", "syslog", "settimeofday",
	"clock_settime", "adjtimex", "clock_adjtime", "sethostname",
	"setdomainname", "iopl", "ioperm", "personality", "setuid",
	"setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setgroups",
};

/* The kernel would refuse it, too; its word is what the caller expects. */
static const struct call refused[] = {
	{ "bpf", 1 << SANDBOX_WORKER | 1 << SANDBOX_MAIN },
};
/* clang-format on */

/* Adds ACTION for the call NAME. One that nobody here knows is no fault. */
static int
add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned n,
    const struct scmp_arg_cmp *args)
{
	int call = seccomp_syscall_resolve_name(name);

	if (call == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(filter, action, call, n, args);
}

static int
add_names(scmp_filter_ctx filter, enum sandbox_role role)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(allowed) / sizeof(*allowed); i++)
		if (allowed[i].roles >> role & 1)
			err = add(
			    filter, SCMP_ACT_ALLOW, allowed[i].name, 0, NULL);
	for (size_t i = 0; !err && i < sizeof(refused) / sizeof(*refused); i++)
		if (refused[i].roles >> role & 1)
			err = add(filter, SCMP_ACT_ERRNO(EPERM),
			    refused[i].name, 0, NULL);
	for (size_t i = 0; !err && i < sizeof(deadly) / sizeof(*deadly); i++)
		err = add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0, NULL);
	return err;
}

#define TYPE_MASK 0xf /* without SOCK_NONBLOCK and SOCK_CLOEXEC */

/*
 * TCP, UNIX sockets, and of netlink what ends a TIME_WAIT and, for main,
 * what names the gateway's addresses. CAP_NET_RAW makes no raw socket.
 */
static const struct {
	unsigned roles, n;
	struct scmp_arg_cmp args[3];
} sockets[] = {
	{ BOTH, 2,
	    { { 0, SCMP_CMP_EQ, AF_INET, 0 },
		{ 1, SCMP_CMP_MASKED_EQ, TYPE_MASK, SOCK_STREAM } } },
	{ BOTH, 2,
	    { { 0, SCMP_CMP_EQ, AF_INET6, 0 },
		{ 1, SCMP_CMP_MASKED_EQ, TYPE_MASK, SOCK_STREAM } } },
	{ BOTH, 1, { { 0, SCMP_CMP_EQ, AF_UNIX, 0 } } },
	{ BOTH, 3,
	    { { 0, SCMP_CMP_EQ, AF_NETLINK, 0 },
		{ 1, SCMP_CMP_MASKED_EQ, 0, 0 },
		{ 2, SCMP_CMP_EQ, NETLINK_SOCK_DIAG, 0 } } },
	{ MAIN, 3,
	    { { 0, SCMP_CMP_EQ, AF_NETLINK, 0 },
		{ 1, SCMP_CMP_MASKED_EQ, 0, 0 },
		{ 2, SCMP_CMP_EQ, NETLINK_ROUTE, 0 } } },
};

static int
add_sockets(scmp_filter_ctx filter, enum sandbox_role role)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(sockets) / sizeof(*sockets); i++)
		if (sockets[i].roles >> role & 1)
			err = add(filter, SCMP_ACT_ALLOW, "socket",
			    sockets[i].n, sockets[i].args);
	return err;
}

/*
 * No memory is both written and run. Main may map a library to run it, which
 * is how the user database is looked up.
 */
static int
add_memory(scmp_filter_ctx filter, enum sandbox_role role)
{
	static const char *const maps[] = { "mmap", "mmap2" };
	struct scmp_arg_cmp plain = { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 };
	struct scmp_arg_cmp library = { 2, SCMP_CMP_MASKED_EQ,
		PROT_EXEC | PROT_WRITE, PROT_EXEC };
	int err = add(filter, SCMP_ACT_ALLOW, "mprotect", 1, &plain);

	for (size_t i = 0; i < 2; i++) {
		if (!err)
			err = add(filter, SCMP_ACT_ALLOW, maps[i], 1, &plain);
		if (!err && role != SANDBOX_WORKER)
			err = add(filter, SCMP_ACT_ALLOW, maps[i], 1, &library);
	}
	return err;
}

/* Calls of many uses: those that are wanted, by their first or second word. */
static const struct {
	const char *name;
	unsigned roles, at;
	uint64_t value;
} uses[] = {
	{ "ioctl", BOTH, 1, SIOCINQ }, /* FIONREAD */
	{ "ioctl", BOTH, 1, SIOCOUTQ },
	{ "ioctl", BOTH, 1, SIOCATMARK },
	{ "ioctl", BOTH, 1, SIOCGIFINDEX },
	{ "ioctl", BOTH, 1, FIONBIO },
	{ "ioctl", MAIN, 1, TCGETS }, /* is a file a terminal? */
	{ "prctl", MAIN, 0, PR_CAPBSET_READ },
	{ "prctl", MAIN, 0, PR_CAP_AMBIENT },
	{ "prctl", MAIN, 0, PR_GET_SECUREBITS },
	{ "prctl", MAIN, 0, PR_GET_NO_NEW_PRIVS },
};

static int
add_uses(scmp_filter_ctx filter, enum sandbox_role role)
{
	/* abort(3) raises its signal in ourselves, and no other process. */
	struct scmp_arg_cmp self = { 0, SCMP_CMP_EQ, (uint64_t)getpid(), 0 };
	int err = add(filter, SCMP_ACT_ALLOW, "tgkill", 1, &self);

	for (size_t i = 0; !err && i < sizeof(uses) / sizeof(*uses); i++) {
		struct scmp_arg_cmp arg = { uses[i].at, SCMP_CMP_EQ,
			uses[i].value, 0 };

		if (uses[i].roles >> role & 1)
			err =
			    add(filter, SCMP_ACT_ALLOW, uses[i].name, 1, &arg);
	}
	return err;
}

static int
load(enum sandbox_role role)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int err;

	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(
	    filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!err)
		err = add_names(filter, role);
	if (!err)
		err = add_sockets(filter, role);
	if (!err)
		err = add_memory(filter, role);
	if (!err)
		err = add_uses(filter, role);
	/* Those with words to look at are searched for by halves: socket(2). */
	if (!err && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2))
		err = 0;
	/* Or kernels before 5.16 slow the thread down, against Spectre. */
	if (!err && seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1))
		err = 0;
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int
sandbox_calls_probe(void)
{
	return prctl(PR_GET_SECCOMP) < 0 ? -errno : 0;
}

/* The library keeps a state of its own: one thread at a time. */
int
sandbox_limit_calls(enum sandbox_role role)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int err;

	pthread_mutex_lock(&lock);
	err = load(role);
	pthread_mutex_unlock(&lock);
	return err;
}
