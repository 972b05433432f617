/* The process that listens, and what it may do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/privs.h"
#include "base/spawn.h"
#include "gateway/checks.h"

#define TEXT_MAX 65536
#define NET_ADMIN 12 /* CAP_NET_ADMIN, a bit of CapEff */

static bool
is_unatatp(const struct facts_listener *l)
{
	return l && l->pid && !strcmp(l->name, "unatatp");
}

static void
mend_start(struct check *c)
{
	const char *path = c->facts->path;

	if (!access("/run/systemd/system", F_OK))
		check_mend(c, "systemctl start unatatp");
	else
		check_mend(c, "unatatp run -d%s%s", path ? " -c " : "",
		    path ? check_quote(c, path) : "");
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
		check_say(c, DOCTOR_FAILURE, "nobody listens on %s", text);
		mend_start(c);
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
each_algorithm(struct check *c, void (*fn)(struct check *c, const char *name))
{
	const struct conf *conf = c->facts->conf;

	for (size_t i = 0; i < conf->n_policies; i++) {
		const struct policy *p = &conf->policies[i];

		if (*p->client.congestion)
			fn(c, p->client.congestion);
		if (*p->server.congestion)
			fn(c, p->server.congestion);
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
	check_mend(c, "# in %s, choose one of: %s", c->facts->path, list);
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
	if (bits && !(strtoull(bits, NULL, 16) >> NET_ADMIN & 1))
		each_algorithm(c, look_allowed);
	else
		check_say(c, DOCTOR_OK, "unatatp may use any that is loaded");
}
