#include "base/window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <mntent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* clang-format off */
#define INSN(opcode, to, from, jump, value) \
	{ .code = (opcode), .dst_reg = (to), .src_reg = (from), \
	  .off = (jump), .imm = (value) }
#define MOVE(to, from) INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SET(to, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value)
#define ADD(to, value) INSN(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value)
#define LOAD(size, to, from, at) \
	INSN(BPF_LDX | BPF_MEM | (size), to, from, at, 0)
#define STORE(to, at, from) INSN(BPF_STX | BPF_MEM | BPF_W, to, from, at, 0)
#define STORE_VALUE(to, at, value) \
	INSN(BPF_ST | BPF_MEM | BPF_W, to, 0, at, value)
#define UNLESS_EQUAL(one, value, n) \
	INSN(BPF_JMP | BPF_JNE | BPF_K, one, 0, n, value)
#define IF_GREATER(one, other, n) \
	INSN(BPF_JMP | BPF_JGT | BPF_X, one, other, n, 0)
#define UNLESS_ABOVE(one, value, n) /* of 32 bits with a sign */ \
	INSN(BPF_JMP32 | BPF_JSLE | BPF_K, one, 0, n, value)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define AT(field) offsetof(struct bpf_sockopt, field)
#define PAGE 4096 /* the least that there is */

/*
 * Every setsockopt(2) of the cgroup goes through it. One that is not ours
 * goes on to the kernel; ours ends here, well or with EPERM. Of a long value,
 * as iptables has them, a program sees the first page; until Linux 6.4 it has
 * to say by a zero that the caller's own is meant, or the call ends in EFAULT.
 */
static const struct bpf_insn program[] = {
	MOVE(6, 1),
	LOAD(BPF_W, 2, 6, AT(level)),
	UNLESS_EQUAL(2, WINDOW_LEVEL, 18),
	LOAD(BPF_W, 2, 6, AT(optname)),
	UNLESS_EQUAL(2, WINDOW_OPTION, 16),
	LOAD(BPF_DW, 2, 6, AT(optval)),
	LOAD(BPF_DW, 3, 6, AT(optval_end)),
	MOVE(4, 2),
	ADD(4, 4),
	IF_GREATER(4, 3, 11),
	LOAD(BPF_W, 4, 2, 0),
	STORE(10, -4, 4),
	/* bpf_setsockopt(sk, IPPROTO_TCP, TCP_BPF_IW, &segments, 4) */
	LOAD(BPF_DW, 1, 6, AT(sk)),
	SET(2, IPPROTO_TCP),
	SET(3, TCP_BPF_IW),
	MOVE(4, 10),
	ADD(4, -4),
	SET(5, 4),
	CALL(BPF_FUNC_setsockopt),
	UNLESS_EQUAL(0, 0, 6),
	STORE_VALUE(6, AT(optlen), -1), /* the kernel's own is left out */
	/* The others. */
	LOAD(BPF_W, 2, 6, AT(optlen)),
	UNLESS_ABOVE(2, PAGE, 1),
	STORE_VALUE(6, AT(optlen), 0),
	SET(0, 1),
	EXIT,
	/* Refused. */
	SET(0, 0),
	EXIT,
};
/* clang-format on */

static int allowed = -1; /* the link; the kernel drops it with us */

static int
call(enum bpf_cmd command, union bpf_attr *attr, unsigned size)
{
	long fd = syscall(SYS_bpf, command, attr, size);

	return fd < 0 ? -errno : (int)fd;
}

static int
load(void)
{
	union bpf_attr attr;

	/* The kernel wants zeros, of the padding too. */
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_SOCKOPT;
	attr.expected_attach_type = BPF_CGROUP_SETSOCKOPT;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(*program);
	attr.license = (uintptr_t) "GPL";
	strcpy(attr.prog_name, "unatatp_window");
	return call(BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Where cgroup v2 is mounted: the first that is, as in mount(8). */
static bool
find_mount(char *path, size_t size)
{
	FILE *in = setmntent("/proc/self/mounts", "re");
	char buffer[4096];
	struct mntent entry;
	bool found = false;

	if (!in)
		return false;
	while (!found && getmntent_r(in, &entry, buffer, (int)sizeof(buffer))) {
		if (strcmp(entry.mnt_type, "cgroup2"))
			continue;
		found =
		    (size_t)snprintf(path, size, "%s", entry.mnt_dir) < size;
	}
	endmntent(in);
	return found;
}

/* Our own cgroup below PATH, which gets its name: the line "0::/...". */
static bool
find_own(char *path, size_t size)
{
	FILE *in = fopen("/proc/self/cgroup", "re");
	char line[4096];
	size_t used = strlen(path);
	bool found = false;

	if (!in)
		return false;
	while (!found && fgets(line, sizeof(line), in)) {
		if (strncmp(line, "0::", 3))
			continue;
		line[strcspn(line, "\n")] = '\0';
		found = (size_t)snprintf(path + used, size - used, "%s",
			    line + 3) < size - used;
	}
	fclose(in);
	return found;
}

static int
open_cgroup(void)
{
	char path[4096];
	int fd;

	if (!find_mount(path, sizeof(path)) || !find_own(path, sizeof(path)))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int
hang(int fd, int cgroup)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (unsigned)fd;
	attr.link_create.target_fd = (unsigned)cgroup;
	attr.link_create.attach_type = BPF_CGROUP_SETSOCKOPT;
	return call(BPF_LINK_CREATE, &attr, sizeof(attr));
}

int
window_probe(void)
{
	int fd = load();

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int
window_allow(void)
{
	int fd, cgroup, err = 0;

	if (allowed >= 0)
		return 0;
	fd = load();
	if (fd < 0)
		return fd;
	cgroup = open_cgroup();
	if (cgroup < 0) {
		err = cgroup;
		goto close_fd;
	}
	allowed = hang(fd, cgroup);
	if (allowed < 0)
		err = allowed;
	close(cgroup);
close_fd:
	close(fd);
	return err;
}
