#include "base/privs.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* A tenth of what a worker gets where both want the same CPU. */
#define NICENESS 10

static bool dropped;
static uint64_t given_up;

/* What we have, in force or asleep. */
static uint64_t
permitted(void)
{
	uint64_t caps = 0;

	if (capng_get_caps_process())
		return 0;
	for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
		if (capng_have_capability(CAPNG_PERMITTED, i))
			caps |= PRIVS_CAP(i);
	return caps;
}

/* True when the capabilities to come have been put together. */
static bool
select_kept(uint64_t keep)
{
	const uint64_t reader = PRIVS_CAP(CAP_DAC_READ_SEARCH);
	uint64_t have = permitted();

	given_up = have & ~(keep | reader);
	capng_clear(CAPNG_SELECT_BOTH);
	for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
		capng_type_t sets = CAPNG_PERMITTED;

		if (!(have & (keep | reader) & PRIVS_CAP(i)))
			continue;
		if (keep & PRIVS_CAP(i))
			sets |= CAPNG_EFFECTIVE;
		if (capng_update(CAPNG_ADD, sets, i))
			return false;
	}
	return true;
}

static int
become(const char *user, uint64_t keep)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errno ? -errno : -ENOENT;
	if (!select_kept(keep))
		return -EPERM;
	if (capng_change_id((int)pw->pw_uid, (int)pw->pw_gid,
		CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING))
		return -EPERM;
	return 0;
}

/*
 * A service manager may have made us the user already and have left us more
 * than is kept. Ambient capabilities go with the inheritable ones.
 */
static int
shed(uint64_t keep)
{
	if (!select_kept(keep) || capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return 0;
}

int
privs_drop(const char *user, uint64_t keep)
{
	int err = geteuid() ? shed(keep) : become(user, keep);

	dropped = !err;
	return err;
}

uint64_t
privs_given_up(uint64_t wanted)
{
	return wanted & given_up;
}

int
privs_gain_none(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

void
privs_hide_memory(void)
{
	struct rlimit none = { 0, 0 };

	/* Neither fails with these words. The first would do for the second. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		return;
}

int
privs_find(const char *user, const char *group, uid_t *uid, gid_t *gid)
{
	const struct passwd *pw = *user ? getpwnam(user) : NULL;
	const struct group *gr = *group ? getgrnam(group) : NULL;

	if ((*user && !pw) || (*group && !gr))
		return -ENOENT;
	*uid = geteuid();
	*gid = getegid();
	if (pw && !*uid) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	if (gr)
		*gid = gr->gr_gid;
	return 0;
}

/* The group first: without its capabilities the user may not. */
void
privs_files_as(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
}

void
privs_files_own(void)
{
	setfsuid(geteuid());
	setfsgid(getegid());
}

bool
privs_has_net_admin(void)
{
	return !capng_get_caps_process() &&
	    capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

static void
change_reader(capng_act_t act, capng_type_t sets)
{
	if (!dropped)
		return;
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_PERMITTED, CAP_DAC_READ_SEARCH)) {
		capng_update(act, sets, CAP_DAC_READ_SEARCH);
		capng_apply(CAPNG_SELECT_CAPS);
	}
}

void
privs_wake_reader(void)
{
	change_reader(CAPNG_ADD, CAPNG_EFFECTIVE);
}

void
privs_sleep_reader(void)
{
	change_reader(CAPNG_DROP, CAPNG_EFFECTIVE);
}

void
privs_forget_reader(void)
{
	change_reader(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED);
}

/* A limit that is too small for everything else is left whole. */
static rlim_t
without_reserve(rlim_t most)
{
	return most > 8 * PRIVS_FDS_RESERVED ? most - PRIVS_FDS_RESERVED : most;
}

void
privs_give_way(void)
{
	/* Linux: of this thread alone. Not vital, should a filter forbid it. */
	int now = getpriority(PRIO_PROCESS, 0);

	if (setpriority(PRIO_PROCESS, 0, now + NICENESS))
		return;
}

size_t
privs_raise_fd_limit(size_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_max < wanted) {
		struct rlimit more = { wanted, wanted };

		if (!setrlimit(RLIMIT_NOFILE, &more))
			limit = more;
	}
	privs_use_reserve(false);
	return limit.rlim_max;
}

void
privs_use_reserve(bool on)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = on ? limit.rlim_max : without_reserve(limit.rlim_max);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return; /* it stays as it was: more cannot be done */
}
