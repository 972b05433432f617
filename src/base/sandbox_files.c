/*
 * Landlock by its system calls alone: neither the C library nor a library of
 * its own has it everywhere. The numbers are the same on all architectures
 * (but alpha), the names of <linux/landlock.h> came with Linux 5.13.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "config.h"

#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define ASK_VERSION 1 /* a flag of CREATE_RULESET */
#define PATH_BENEATH 1

enum {
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_FILE = 1 << 5,
	MAKE_DIR = 1 << 7,
	MAKE_SOCK = 1 << 9,
};

/*
 * How many rights a version knows: 13, then moving between folders (2),
 * cutting a file off (3) and control of devices (5). All that the kernel
 * knows is taken away, and little of it given back.
 */
static const unsigned known[] = { 0, 13, 14, 15, 15, 16 };

#define NEWEST (int)(sizeof(known) / sizeof(*known) - 1)

/* The first field of struct landlock_ruleset_attr, the one that is old. */
struct ruleset {
	uint64_t handled;
};

struct beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

int
sandbox_files_version(void)
{
	long version = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);

	return version < 0 ? -errno : (int)version;
}

static int
add_folder(int ruleset, const struct sandbox_folder *folder)
{
	struct beneath rule = { .allowed = READ_FILE | READ_DIR };
	struct stat st;
	int err = 0;

	if (!folder->path)
		return 0;
	rule.parent = open(folder->path, O_PATH | O_CLOEXEC);
	if (rule.parent < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	if (folder->sockets)
		rule.allowed |= REMOVE_FILE | MAKE_DIR | MAKE_SOCK;
	/* The kernel wants no rights of a folder for a file. */
	if (fstat(rule.parent, &st) || !S_ISDIR(st.st_mode))
		rule.allowed = READ_FILE;
	if (syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0))
		err = -errno;
	close(rule.parent);
	return err;
}

/* Where a program that counts its lines writes at its end: GCOV_PREFIX. */
static int
add_counts(int ruleset)
{
#ifdef COVERAGE
	const char *path = getenv("GCOV_PREFIX");
	struct beneath rule = { READ_FILE | WRITE_FILE, -1 };
	int err = 0;

	if (path)
		rule.parent = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent < 0)
		return 0;
	if (syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0))
		err = -errno;
	close(rule.parent);
	return err;
#else
	return ruleset < 0 ? ruleset : 0;
#endif
}

/* Only main, which has folders, asks; and only main sets it. */
static bool limited;

bool
sandbox_limits_files(void)
{
	return limited;
}

int
sandbox_limit_files(const struct sandbox_folder *folders, size_t n)
{
	int version = sandbox_files_version(), fd, err = 0;
	struct ruleset all;

	if (version < 0)
		return version;
	if (version > NEWEST)
		version = NEWEST;
	all.handled = (UINT64_C(1) << known[version]) - 1;
	fd = (int)syscall(CREATE_RULESET, &all, sizeof(all), 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; !err && i < n; i++)
		err = add_folder(fd, &folders[i]);
	if (!err && n)
		err = add_counts(fd);
	if (!err && syscall(RESTRICT_SELF, fd, 0))
		err = -errno;
	if (!err && n)
		limited = true;
	close(fd);
	return err;
}
