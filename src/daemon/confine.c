#include "daemon/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privs.h"
#include "base/sandbox.h"
#include "daemon/needs.h"

/*
 * What any reload may look at: the user database with the libraries that
 * ask it, the kernel's settings and our own descriptors, how many processors
 * there are and, for initial_window, our cgroup. All of it is anyone's.
 */
static const char *const common[] = { "/etc", "/usr", "/lib", "/lib64",
	"/var/lib/sss", "/var/db", "/run/systemd/userdb", "/proc",
	"/sys/devices/system/cpu", "/sys/fs/cgroup", "/dev/null",
	"/dev/urandom" };

#define COMMON (sizeof(common) / sizeof(*common))
#define SOCKETS 2

/*
 * Whether the user may read what a reload reads: by open(2), with its
 * capability asleep.
 */
static bool
may_read(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_files; i++)
		if (access(conf->files[i], R_OK))
			return false;
	return true;
}

static int
drop(const struct conf *conf)
{
	int err = privs_drop(conf->user, needs_find(conf));

	if (!err && may_read(conf))
		privs_forget_reader();
	return err;
}

enum daemon_result
confine_privileges(const struct conf *conf)
{
	const char *user = conf->user;
	int err = *user ? drop(conf) : 0;

	tzset(); /* while its file can be read: syslog's lines have a time */
	if (!err)
		err = privs_gain_none();
	if (!err && conf->sandbox)
		privs_hide_memory();
	if (!err)
		return DAEMON_GOOD;
	log_error("cannot run as user \"%s\": %s", user,
	    err == -ENOENT ? "no such user (create it, or set user = \"\")"
			   : strerror(-err));
	return err == -ENOENT ? DAEMON_BAD_CONFIG : DAEMON_NO_PRIVILEGE;
}

bool
confine_wanted(const struct conf *conf)
{
	const char *obstacle = sandbox_obstacle();

	if (conf->sandbox && obstacle)
		log_notice("no sandbox: %s", obstacle);
	return conf->sandbox && !obstacle;
}

/* The folder of PATH, which the caller frees; NULL when there is none. */
static char *
folder_of(const char *path)
{
	char *folder = *path == '/' ? strdup(path) : NULL;

	if (folder)
		strrchr(folder, '/')[1] = '\0';
	return folder;
}

/*
 * Those of the files of CONF, where they are named and where links lead, and
 * of its sockets. Returns how many.
 */
static size_t
list_folders(const struct conf *conf, struct sandbox_folder *list)
{
	const char *sockets[SOCKETS] = { conf->control.path,
		conf->metrics.address };
	size_t n = 0;

	for (size_t i = 0; i < conf->n_files; i++) {
		char *real = realpath(conf->files[i], NULL);

		list[n++].path = folder_of(conf->files[i]);
		list[n++].path = real ? folder_of(real) : NULL;
		free(real);
	}
	for (size_t i = 0; i < SOCKETS; i++) {
		list[n].sockets = true;
		list[n++].path = folder_of(sockets[i]);
	}
	return n;
}

static int
limit_files(const struct conf *conf)
{
	size_t n = 2 * conf->n_files + SOCKETS, used;
	struct sandbox_folder *list = calloc(n + COMMON, sizeof(*list));
	int err;

	if (!list)
		return -ENOMEM;
	used = list_folders(conf, list);
	for (size_t i = 0; i < COMMON; i++)
		list[used + i].path = common[i];
	err = sandbox_limit_files(list, used + COMMON);
	for (size_t i = 0; i < used; i++)
		free((char *)(uintptr_t)list[i].path);
	free(list);
	return err;
}

/* What a kernel lacks is no fault of anyone who reads the log. */
static void
log_missing(const char *what, int err)
{
	bool lacking = err == -ENOSYS || err == -EOPNOTSUPP || err == -ENOTSUP;

	log_line(lacking ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
	    "sandbox: no %s: %s", what,
	    err == -ENOTSUP && lacking ? "not in this kernel or program"
				       : strerror(-err));
}

void
confine_main(const struct conf *conf)
{
	int files, calls;

	privs_wake_reader();
	files = limit_files(conf);
	privs_sleep_reader();
	calls = sandbox_calls_probe();
	if (!calls)
		calls = sandbox_limit_calls(
		    *conf->user ? SANDBOX_MAIN : SANDBOX_ROOT);
	if (files)
		log_missing("Landlock", files);
	if (calls)
		log_missing("seccomp", calls);
	if (!files && !calls)
		log_debug("sandbox: system calls and files are limited");
}

void
confine_worker(void)
{
	int err = sandbox_limit_files(NULL, 0);

	if (err && sandbox_files_version() > 0)
		log_error("worker: Landlock: %s", strerror(-err));
	err = sandbox_calls_probe();
	if (!err)
		err = sandbox_limit_calls(SANDBOX_WORKER);
	if (err && err != -ENOTSUP)
		log_error("worker: seccomp: %s", strerror(-err));
}
