/* Who listens: /proc/net/tcp and the descriptors of every process. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "doctor/facts.h"

#define TABLE_MAX (64 << 20)
#define STATE_LISTEN 10

/* "0100007F:270F": 32-bit words in the machine's order. */
static bool
read_address(struct addr *a, const char *text)
{
	size_t words = strcspn(text, ":") / 8;
	uint32_t raw[4] = { 0 };

	*a = (struct addr){ 0 };
	if (words != 1 && words != 4)
		return false;
	for (size_t i = 0; i < words; i++) {
		char word[9] = "";

		memcpy(word, text + 8 * i, 8);
		raw[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	a->sa.sa_family = words == 1 ? AF_INET : AF_INET6;
	if (words == 1)
		memcpy(&a->in4.sin_addr, raw, 4);
	else
		memcpy(&a->in6.sin6_addr, raw, 16);
	addr_set_port(a, (uint16_t)strtoul(text + 8 * words + 1, NULL, 16));
	return true;
}

static void
read_table(struct facts *f, const char *path)
{
	char *text, *rest;
	size_t n;

	if (file_read(path, TABLE_MAX, &text, &n))
		return;
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		struct facts_listener l = { 0 };
		char local[64];
		unsigned state;

		if (sscanf(line, " %*d: %63s %*s %x %*s %*s %*s %*u %*u %lu",
			local, &state, &l.inode) != 3 ||
		    state != STATE_LISTEN || !read_address(&l.addr, local))
			continue;
		f->listeners = arena_grow(f->arena, f->listeners,
		    f->n_listeners, sizeof(*f->listeners));
		f->listeners[f->n_listeners++] = l;
	}
	free(text);
}

static const char *
name_process(struct facts *f, const char *pid)
{
	char path[64], *text;
	const char *name;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	if (file_read(path, 4096, &text, &n))
		return "?";
	name = arena_printf(f->arena, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
	return name;
}

static void
note_owner(struct facts *f, const char *pid, unsigned long inode)
{
	for (size_t i = 0; i < f->n_listeners; i++) {
		struct facts_listener *l = &f->listeners[i];

		if (l->inode != inode || l->pid)
			continue;
		l->pid = (pid_t)atol(pid);
		l->name = name_process(f, pid);
	}
}

static void
look_into(struct facts *f, const char *pid)
{
	char path[64], link[64];
	struct dirent *entry;
	unsigned long inode;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	fds = opendir(path);
	if (!fds)
		return;
	while ((entry = readdir(fds))) {
		ssize_t n = readlinkat(
		    dirfd(fds), entry->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%lu]", &inode) == 1)
			note_owner(f, pid, inode);
	}
	closedir(fds);
}

static void
read_listeners(struct facts *f)
{
	struct dirent *entry;
	DIR *proc;

	read_table(f, "/proc/net/tcp");
	read_table(f, "/proc/net/tcp6");
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			look_into(f, entry->d_name);
	if (proc)
		closedir(proc);
}

const struct facts_listener *
facts_listener(struct facts *f, const struct addr *a)
{
	const struct facts_listener *any = NULL;

	if (!f->have_listeners)
		read_listeners(f);
	f->have_listeners = true;
	for (size_t i = 0; i < f->n_listeners; i++) {
		const struct facts_listener *l = &f->listeners[i];

		if (l->addr.sa.sa_family != a->sa.sa_family ||
		    addr_port(&l->addr) != addr_port(a))
			continue;
		if (addr_same_host(&l->addr, a))
			return l;
		if (addr_is_any(&l->addr))
			any = l;
	}
	return any;
}
