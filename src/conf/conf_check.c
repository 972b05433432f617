/* The checks of a configuration that no option can make alone. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/window.h"
#include "conf/policy.h"
#include "conf/reader.h"

/* Element I of the list NAME, or else the file's beginning. */
static struct report_place
place_of(const struct reader *r, const char *name, size_t i)
{
	const config_setting_t *list = config_setting_get_member(r->root, name);
	const config_setting_t *e =
	    list ? config_setting_get_elem(list, (unsigned)i) : NULL;

	return e ? reader_place(r, e) : conf_text_place(r->text, 1);
}

static void
check_listens(struct reader *r)
{
	const struct conf *conf = r->conf;
	char text[ADDR_TEXT_MAX];

	for (size_t i = 1; i < conf->n_listens; i++) {
		size_t same = 0;

		while (!addr_equal(&conf->listens[same], &conf->listens[i]))
			same++;
		if (same < i && addr_port(&conf->listens[i]))
			report_error(r->report, place_of(r, "listen", i),
			    "duplicate listen address %s",
			    addr_format(&conf->listens[i], text));
	}
}

/* Names are interned: the same name is the same pointer. */
static int
compare_names(const void *a, const void *b)
{
	const struct policy *x = *(const struct policy *const *)a;
	const struct policy *y = *(const struct policy *const *)b;

	if (x->name != y->name)
		return (uintptr_t)x->name < (uintptr_t)y->name ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static void
check_policy_names(struct reader *r)
{
	const struct conf *conf = r->conf;
	size_t n = conf->n_policies, first = 0;
	const struct policy **sorted;

	sorted = n ? reader_alloc(r, n, sizeof(*sorted)) : NULL;
	if (!sorted)
		return;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &conf->policies[i];
	qsort(sorted, n, sizeof(*sorted), compare_names);
	for (size_t i = 1; i < n; i++) {
		struct report_place before;

		if (sorted[i]->name != sorted[first]->name)
			first = i;
		if (first == i || !sorted[i]->name)
			continue;
		before = place_of(r, "policies", sorted[first]->index);
		report_error(r->report,
		    place_of(r, "policies", sorted[i]->index),
		    "duplicate policy name \"%s\" (first at %s:%u)",
		    sorted[i]->name, before.file, before.line);
	}
}

void
conf_check_names(struct reader *r)
{
	check_listens(r);
	check_policy_names(r);
}

/* The default user may not have been made yet: then it is nobody. */
void
conf_check_user(struct reader *r)
{
	static char nobody[] = "nobody";
	const config_setting_t *s = config_setting_get_member(r->root, "user");
	const char *user = r->conf->user;

	if (!*user || getpwnam(user))
		return;
	if (strcmp(user, option_find(OPTION_IN_TOP, "user")->initial)) {
		reader_error(r, s,
		    "no such user \"%s\" (create it, or set user = \"\")",
		    user);
		return;
	}
	if (s)
		reader_warning(r, reader_place(r, s),
		    "no such user \"%s\", \"nobody\" takes its place "
		    "(create it, or set user = \"\")",
		    user);
	r->conf->user = nobody;
}

/* Option NAME of GROUP, or else the file's beginning. */
static struct report_place
place_in(const struct reader *r, const char *group_name, const char *name)
{
	const config_setting_t *group =
	    config_setting_get_member(r->root, group_name);
	const config_setting_t *s =
	    group ? config_setting_get_member(group, name) : NULL;

	return s ? reader_place(r, s) : conf_text_place(r->text, 1);
}

void
conf_check_control(struct reader *r)
{
	const char *group = r->conf->control.group;

	if (*group && !getgrnam(group))
		report_error(r->report, place_in(r, "control", "group"),
		    "no such group \"%s\" (create it, or set group = \"\")",
		    group);
}

void
conf_check_firewall(struct reader *r)
{
	const struct conf_firewall *f = &r->conf->firewall;

	if (f->mark & ~f->mask)
		report_error(r->report, place_in(r, "firewall", "mark"),
		    "firewall: mark 0x%llx has bits that mask 0x%llx has not",
		    (unsigned long long)f->mark, (unsigned long long)f->mask);
	/* Names of rt_tables(5) that every system has. */
	if (f->table >= 253 && f->table <= 255)
		report_error(r->report, place_in(r, "firewall", "table"),
		    "firewall: table %lld is the system's own (\"%s\"): a "
		    "local default route there cuts this machine off",
		    (long long)f->table,
		    f->table == 253	  ? "default"
			: f->table == 254 ? "main"
					  : "local");
}

/* May conf_read's caller not ask, then the daemon or doctor will. */
void
conf_check_windows(struct reader *r)
{
	const struct policy *p = conf_wants_window(r->conf);
	int err = p ? window_probe() : 0;

	if (err && err != -EPERM)
		reader_warning(r, place_of(r, "policies", p->index),
		    "policy \"%s\": initial_window has no effect: %s", p->name,
		    window_why(err));
}

void
conf_check_reach(struct reader *r)
{
	const struct conf *conf = r->conf;

	for (size_t i = 0; i < conf->n_policies; i++) {
		const struct policy *p = &conf->policies[i];
		const char *why = policy_unreachable(conf, p);

		if (why)
			reader_warning(r, place_of(r, "policies", i),
			    "policy \"%s\" can never match: %s", p->name, why);
	}
}
