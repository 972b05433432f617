/* The process that listens, and what it may do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/privs.h"
#include "base/spawn.h"
#include "doctor/checks.h"
#include "gateway/match.h"

#define TEXT_MAX 65536
#define NET_ADMIN 12 /* CAP_NET_ADMIN, a bit of CapEff */
#define NET_RAW 13

static bool
is_unatatp(const struct facts_listener *l)
{
	return l && l->pid && !strcmp(l->name, "unatatp");
}

/* One that runs has only not heard of the file. */
static void
mend_start(struct check *c)
{
	if (facts_daemon(c->facts, NULL))
		check_mend(c, "unatatp reload%s", mend_option(c));
	else if (!access("/run/systemd/system", F_OK))
		check_mend(c, "systemctl start unatatp");
	else
		check_mend(c, "unatatp run -d%s", mend_option(c));
}

/* Where IPv6 is off, the built-in configuration does without. */
static void
nobody(struct check *c, const char *address)
{
	if (c->family == 4 || facts_has_ipv6()) {
		check_say(c, DOCTOR_FAILURE, "nobody listens on %s", address);
		mend_start(c);
		return;
	}
	if (c->facts->conf->builtin) {
		check_say(c, DOCTOR_OK, "IPv6 is turned off here");
		return;
	}
	check_say(c, DOCTOR_FAILURE,
	    "nobody can listen on %s: IPv6 is turned off here", address);
	check_mend(c, "# in %s, take %s out of listen, or turn IPv6 on",
	    check_file(c), address);
}

void
check_listener(struct check *c)
{
	const struct conf *conf = c->facts->conf;
	char text[ADDR_TEXT_MAX];

	check_looked(c, "/proc/net/tcp%s", c->family == 6 ? "6" : "");
	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct addr *a = &conf->listens[i];
		const struct facts_listener *l;

		if (a->sa.sa_family != (c->family == 4 ? AF_INET : AF_INET6))
			continue;
		l = facts_listener(c->facts, a);
		addr_format(a, text);
		if (l) {
			check_say(c, DOCTOR_OK, "%s: %s, pid %d", text,
			    l->name ? l->name : "?", (int)l->pid);
			continue;
		}
		nobody(c, text);
	}
}

void
check_listener_owner(struct check *c)
{
	const struct conf *conf = c->facts->conf;
	char text[ADDR_TEXT_MAX];

	check_looked(c, "/proc/*/fd");
	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct facts_listener *l =
		    facts_listener(c->facts, &conf->listens[i]);

		if (!l || is_unatatp(l))
			continue;
		addr_format(&conf->listens[i], text);
		if (!l->pid) {
			check_say(c, DOCTOR_UNKNOWN,
			    "whose socket %s is cannot be seen", text);
			continue;
		}
		check_say(c, DOCTOR_FAILURE, "%s is held by %s, pid %d", text,
		    l->name, (int)l->pid);
		check_mend(c, "kill %d", (int)l->pid);
		mend_start(c);
	}
}

/* Unatatp's process, as far as one listens; 0: none. */
static pid_t
find_daemon(struct check *c)
{
	const struct conf *conf = c->facts->conf;

	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct facts_listener *l =
		    facts_listener(c->facts, &conf->listens[i]);

		if (is_unatatp(l))
			return l->pid;
	}
	return 0;
}

/* What stands behind LABEL in /proc/PID/FILE, in the arena; NULL: nothing. */
static const char *
ask_proc(struct check *c, pid_t pid, const char *file, const char *label)
{
	char path[64], *text, *line;
	const char *found = NULL;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	if (file_read(path, TEXT_MAX, &text, &n))
		return NULL;
	line = strstr(text, label);
	if (line)
		found =
		    arena_printf(c->facts->arena, "%s", line + strlen(label));
	free(text);
	return found;
}

void
check_descriptors(struct check *c)
{
	long flows = (long)c->facts->conf->limits.flows;
	long need = (long)conf_descriptors(c->facts->conf), got = 0, most = 0;
	pid_t pid = find_daemon(c);
	const char *text;

	check_looked(c, "/proc/PID/limits, limits.flows");
	if (!flows || !pid) {
		check_say(c, DOCTOR_OK,
		    flows ? "unatatp does not run"
			  : "limits.flows is 0: as many as there are");
		return;
	}
	text = ask_proc(c, pid, "limits", "Max open files");
	if (!text || sscanf(text, "%ld %ld", &got, &most) != 2) {
		check_say(c, DOCTOR_UNKNOWN, "it cannot be read");
	} else if (got + PRIVS_FDS_RESERVED < need) {
		check_say(c, DOCTOR_WARNING,
		    "%ld flows need %ld descriptors, pid %d may have %ld",
		    flows, need, (int)pid, got);
		check_mend(c, "prlimit --pid %d --nofile=%ld:%ld", (int)pid,
		    need, need > most ? need : most);
	}
}

static bool
has_capability(const char *bits, int number)
{
	return strtoull(bits, NULL, 16) >> number & 1;
}

/* IP_TRANSPARENT wants one of the two. */
void
check_source_allowed(struct check *c)
{
	pid_t pid = find_daemon(c);
	const char *bits = pid ? ask_proc(c, pid, "status", "CapEff:") : NULL;

	check_looked(c, "source, /proc/PID/status");
	if (!match_transparent(c->facts->conf) || !bits ||
	    has_capability(bits, NET_ADMIN) || has_capability(bits, NET_RAW))
		return;
	check_say(c, DOCTOR_FAILURE,
	    "a policy keeps the client's address, and pid %d has neither "
	    "CAP_NET_ADMIN nor CAP_NET_RAW",
	    (int)pid);
	check_mend(
	    c, "# start it again, as root: it keeps what its policies take");
}

/* --- the file that it runs with ------------------------------------ */

static const char *
time_text(struct check *c, long at)
{
	time_t seconds = (time_t)at;
	struct tm tm;
	char text[32] = "?";

	if (gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return arena_printf(c->facts->arena, "%s", text);
}

/* Whether the daemon reads this FILE; THERE: what is in its place now. */
static bool
is_its_file(struct check *c, const char *file, struct stat *there)
{
	const char *path = c->facts->path;
	struct stat ours;

	return path && *file && !stat(path, &ours) && !stat(file, there) &&
	    ours.st_dev == there->st_dev && ours.st_ino == there->st_ino;
}

void
check_loaded(struct check *c)
{
	const char *why;
	json_t *said = facts_daemon(c->facts, &why);
	const char *file = facts_text(said, "file");
	long at = facts_int(said, "loaded");
	struct stat there;

	check_looked(c, "control.path");
	if (!said) {
		check_say(c, DOCTOR_UNKNOWN, "%s", why);
		return;
	}
	check_say(c, DOCTOR_OK, "loaded at %s, good reloads: %ld",
	    time_text(c, at), facts_int(said, "reloads_good"));
	if (!c->facts->path && !*file)
		return;
	if (!is_its_file(c, file, &there)) {
		check_say(c, DOCTOR_UNKNOWN, "the daemon reads %s",
		    *file ? file : "no file");
		return;
	}
	/* A rename leaves the time of the content as it was. */
	if ((long)there.st_ctime > at)
		check_say(c, DOCTOR_WARNING, "%s has changed since, at %s",
		    file, time_text(c, (long)there.st_ctime));
	if (json_is_true(json_object_get(said, "last_refused"))) {
		check_say(c, DOCTOR_WARNING, "the last reload was refused");
		check_mend(c, "unatatp check%s", mend_option(c));
	}
	if (c->result->verdict == DOCTOR_WARNING)
		check_mend(c, "unatatp reload%s", mend_option(c));
}

/* --- congestion control -------------------------------------------- */

/* Whether LIST, words between blanks, has WORD. */
static bool
has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
	return false;
}

static void
each_of_leg(struct check *c, const struct sock_options *leg,
    void (*fn)(struct check *c, const char *name))
{
	for (size_t i = 0; i < leg->n_congestion_among; i++)
		fn(c, leg->congestion_among[i]);
	if (!leg->n_congestion_among && *leg->congestion)
		fn(c, leg->congestion);
}

static void
each_algorithm(struct check *c, void (*fn)(struct check *c, const char *name))
{
	const struct conf *conf = c->facts->conf;

	for (size_t i = 0; i < conf->n_policies; i++) {
		each_of_leg(c, &conf->policies[i].client, fn);
		each_of_leg(c, &conf->policies[i].server, fn);
	}
}

static bool
is_loadable(const char *name)
{
	char module[64];
	const char *const argv[] = { "modprobe", "-n", "-q", module, NULL };
	struct spawn_result result;
	bool can;

	snprintf(module, sizeof(module), "tcp_%s", name);
	if (spawn_run(argv, NULL, &result))
		return false;
	can = !result.status;
	spawn_clear(&result);
	return can;
}

static const char *
list_of(struct check *c, const char *which)
{
	const char *list =
	    facts_sysctl(c->facts, "ipv4/tcp_%s_congestion_control", which);

	return list ? list : "";
}

static void
look_for(struct check *c, const char *name)
{
	const char *list = list_of(c, "available");

	if (has_word(list, name))
		return;
	if (is_loadable(name)) {
		check_say(c, DOCTOR_WARNING, "%s is not loaded", name);
		check_mend(c, "modprobe tcp_%s", name);
		return;
	}
	check_say(c, DOCTOR_FAILURE,
	    "this kernel has no %s, and no module of it", name);
	check_mend(c, "# in %s, choose one of: %s", check_file(c), list);
}

void
check_congestion(struct check *c)
{
	check_looked(c, "net.ipv4.tcp_available_congestion_control");
	each_algorithm(c, look_for);
}

static void
look_allowed(struct check *c, const char *name)
{
	const char *list = list_of(c, "allowed");

	if (has_word(list, name) || !has_word(list_of(c, "available"), name))
		return;
	check_say(c, DOCTOR_WARNING,
	    "unatatp runs without CAP_NET_ADMIN, and %s is not allowed to "
	    "everybody",
	    name);
	check_mend(c,
	    "sysctl -w net.ipv4.tcp_allowed_congestion_control='%s %s'", list,
	    name);
}

void
check_congestion_allowed(struct check *c)
{
	pid_t pid = find_daemon(c);
	const char *bits = pid ? ask_proc(c, pid, "status", "CapEff:") : NULL;

	check_looked(
	    c, "net.ipv4.tcp_allowed_congestion_control, /proc/PID/status");
	if (bits && !has_capability(bits, NET_ADMIN))
		each_algorithm(c, look_allowed);
	else
		check_say(c, DOCTOR_OK, "unatatp may use any that is loaded");
}
