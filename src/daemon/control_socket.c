#include "daemon/control_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privs.h"
#include "base/sandbox.h"
#include "base/sock_unix.h"

/* The folder of PATH, when it is missing; UID is to remove the socket. */
static void
make_folder(const char *path, uid_t uid, gid_t gid)
{
	char folder[SOCK_PATH_MAX];
	char *slash;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (slash == folder)
		return;
	*slash = '\0';
	if (mkdir(folder, 0755))
		return; /* it is there, or binding will tell why not */
	if (chmod(folder, 0755) || chown(folder, uid, gid))
		log_debug("control: %s stays root's own: %s", folder,
		    strerror(errno));
}

/*
 * As the user that the daemon is going to be, who then may remove it; in a
 * folder that is only root's, as root. Not by chown(2), for which a service
 * need not have the capability.
 */
static int
listen_as(const char *path, mode_t mode, uid_t uid, gid_t gid, pid_t *holder)
{
	int fd;

	privs_files_as(uid, gid);
	fd = sock_unix_listen(path, mode, holder);
	privs_files_own();
	if (fd != -EACCES && fd != -EPERM)
		return fd;
	privs_files_as(geteuid(), gid);
	fd = sock_unix_listen(path, mode, holder);
	privs_files_own();
	return fd;
}

/* Its group, where the caller is no root but a member of it. */
static int
take_note(struct control_socket *s, gid_t gid)
{
	struct stat st;

	if (lstat(s->path, &st))
		return -errno;
	s->device = st.st_dev;
	s->inode = st.st_ino;
	if (st.st_gid == gid || !lchown(s->path, (uid_t)-1, gid))
		return 0;
	return -errno;
}

static void
tell_why(int err, pid_t holder, char why[CONTROL_SOCKET_WHY_MAX])
{
	size_t n = CONTROL_SOCKET_WHY_MAX;

	if (err == -EADDRINUSE)
		snprintf(
		    why, n, "another daemon has it (process %d)", (int)holder);
	else if (err == -EEXIST)
		snprintf(why, n, "there is a file that is no socket");
	else if (err == -ENOENT)
		snprintf(why, n, "its folder cannot be made");
	else if (err == -EACCES && sandbox_limits_files())
		snprintf(why, n,
		    "%s (since the start its user makes sockets in the "
		    "folders of those that there were: restart unatatp)",
		    strerror(-err));
	else
		snprintf(why, n, "%s", strerror(-err));
}

int
control_socket_make(struct control_socket *s, const char *path,
    const struct conf *conf, char why[CONTROL_SOCKET_WHY_MAX])
{
	const struct conf_control *c = &conf->control;
	pid_t holder = 0;
	uid_t uid;
	gid_t gid;
	int err;

	*s = (struct control_socket){ .fd = -1 };
	strcpy(s->path, path);
	err = privs_find(conf->user, c->group, &uid, &gid);
	if (err) /* gone since the configuration was read */
		goto fail;
	make_folder(s->path, uid, gid);
	err = listen_as(s->path, (mode_t)c->mode, uid, gid, &holder);
	if (err < 0)
		goto fail;
	s->fd = err;
	err = take_note(s, gid);
	if (!err)
		return s->fd;
	control_socket_close(s);
fail:
	tell_why(err, holder, why);
	return err;
}

enum daemon_result
control_socket_open(struct control_socket *s, const struct conf *conf)
{
	const char *path = conf->control.path;
	bool optional = !strcmp(path, CONF_CONTROL_PATH);
	char why[CONTROL_SOCKET_WHY_MAX];

	s->fd = -1;
	if (!*path || control_socket_make(s, path, conf, why) >= 0)
		return DAEMON_GOOD;
	log_line(optional ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
	    "no control socket at %s: %s (see \"control\" in "
	    "unatatp.conf(5))",
	    path, why);
	return optional ? DAEMON_GOOD : DAEMON_CANNOT_LISTEN;
}

void
control_socket_close(struct control_socket *s)
{
	struct stat st;

	if (s->fd < 0)
		return;
	if (!lstat(s->path, &st) && st.st_dev == s->device &&
	    st.st_ino == s->inode)
		unlink(s->path);
	close(s->fd);
	s->fd = -1;
}
