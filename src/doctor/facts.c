#include "doctor/facts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/spawn.h"
#include "gateway/state.h"

#define SYSCTL_MAX 65536

const char *
facts_text(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long
facts_int(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (long)json_integer_value(value) : -1;
}

/* --- sysctl -------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static const char *
read_sysctl(struct facts *f, const char *format, va_list args)
{
	char name[256], path[512];
	const char *kept;
	char *text;
	size_t n;

	vsnprintf(name, sizeof(name), format, args);
	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	if (file_read(path, SYSCTL_MAX, &text, &n))
		return NULL;
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	kept = arena_printf(f->arena, "%s", text);
	free(text);
	return kept;
}

const char *
facts_sysctl(struct facts *f, const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = read_sysctl(f, format, args);
	va_end(args);
	return text;
}

long
facts_number(struct facts *f, const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = read_sysctl(f, format, args);
	va_end(args);
	return text ? strtol(text, NULL, 10) : -1;
}

/* --- ip(8) --------------------------------------------------------- */

static void
run_ip(struct facts *f, struct facts_json *to, const char *const argv[])
{
	struct spawn_result result;
	int err = spawn_run(argv, NULL, &result);

	if (err) {
		to->why = arena_printf(f->arena, "ip: %s", strerror(-err));
		return;
	}
	/* A table without routes does not exist: an error that is none. */
	if (strstr(result.err, "FIB table does not exist"))
		to->json = json_array();
	else if (result.status)
		to->why = arena_printf(f->arena, "ip: %s", result.err);
	else
		to->json = *result.out ? json_loads(result.out, 0, NULL)
				       : json_array();
	if (!to->json && !to->why)
		to->why = "ip printed no JSON";
	spawn_clear(&result);
}

static json_t *
ask_ip(struct facts *f, struct facts_json *fact, const char *const argv[],
    const char **why)
{
	if (!fact->json && !fact->why)
		run_ip(f, fact, argv);
	if (why)
		*why = fact->why;
	return fact->json;
}

static const char *
family_option(int family)
{
	return family == 4 ? "-4" : "-6";
}

json_t *
facts_rules(struct facts *f, int family, const char **why)
{
	const char *const argv[] = { "ip", "-j", "-N", family_option(family),
		"rule", "show", NULL };

	return ask_ip(f, &f->rules[family == 6], argv, why);
}

json_t *
facts_routes(struct facts *f, int family, const char **why)
{
	const char *table = arena_printf(f->arena, "%ld", f->table);
	const char *const argv[] = { "ip", "-j", "-d", "-N",
		family_option(family), "route", "show", "table", table, NULL };

	return ask_ip(f, &f->routes[family == 6], argv, why);
}

json_t *
facts_table(struct facts *f, int family, const char *table)
{
	struct facts_json fact = { 0 };
	const char *const argv[] = { "ip", "-j", "-d", "-N",
		family_option(family), "route", "show", "table", table, NULL };

	run_ip(f, &fact, argv);
	f->others =
	    arena_grow(f->arena, f->others, f->n_others, sizeof(*f->others));
	f->others[f->n_others++] = fact;
	return fact.json;
}

const char *
facts_way_to(struct facts *f, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	struct facts_json fact = { 0 };
	const char *const argv[] = { "ip", "-j", "route", "get",
		addr_format_host(a, text), NULL };
	const char *dev;

	run_ip(f, &fact, argv);
	dev = arena_printf(
	    f->arena, "%s", facts_text(json_array_get(fact.json, 0), "dev"));
	json_decref(fact.json);
	return *dev ? dev : NULL;
}

json_t *
facts_links(struct facts *f, const char **why)
{
	static const char *const argv[] = { "ip", "-j", "-d", "link", "show",
		NULL };

	return ask_ip(f, &f->links, argv, why);
}

json_t *
facts_link(struct facts *f, const char *name)
{
	json_t *links = facts_links(f, NULL), *link;
	size_t i;

	json_array_foreach(links, i,
	    link) if (!strcmp(facts_text(link, "ifname"), name)) return link;
	return NULL;
}

static bool
has_ours(json_t *list)
{
	json_t *one;
	size_t i;

	json_array_foreach(
	    list, i, one) if (!strcmp(facts_text(one, "protocol"),
				  STATE_PROTOCOL)) return true;
	return false;
}

bool
facts_is_commanded(struct facts *f)
{
	for (int family = 4; family <= 6; family += 2)
		if (has_ours(facts_rules(f, family, NULL)) ||
		    has_ours(facts_routes(f, family, NULL)))
			return true;
	return false;
}

const struct ruleset *
facts_ruleset(struct facts *f)
{
	if (!f->have_ruleset)
		ruleset_read(&f->ruleset, f->arena);
	f->have_ruleset = true;
	return &f->ruleset;
}

bool
facts_has_ipv6(void)
{
	return state_serves_family(1);
}

/* --- the configuration --------------------------------------------- */

bool
facts_listens(const struct facts *f, int family)
{
	for (size_t i = 0; i < f->conf->n_listens; i++)
		if (f->conf->listens[i].sa.sa_family ==
		    (family == 4 ? AF_INET : AF_INET6))
			return true;
	return false;
}

bool
facts_is_client_side(const struct facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_interfaces; i++)
		if (!strcmp(f->interfaces[i], name))
			return true;
	return false;
}

static void
add_interface(struct facts *f, const char *name)
{
	if (facts_is_client_side(f, name))
		return;
	f->interfaces = arena_grow(
	    f->arena, f->interfaces, f->n_interfaces, sizeof(char *));
	f->interfaces[f->n_interfaces++] = name;
}

/* Where the file names no interface, the rules of ip(8) may. */
static void
ask_rules(struct facts *f, int family)
{
	json_t *rules = facts_rules(f, family, NULL), *rule;
	size_t i;

	json_array_foreach(rules, i,
	    rule) if (strtol(facts_text(rule, "table"), NULL, 10) == f->table &&
	    *facts_text(rule, "iif")) add_interface(f, facts_text(rule, "iif"));
}

void
facts_init(struct facts *f, struct arena *arena, const struct conf *conf,
    const char *path, const struct doctor_wish *link)
{
	*f = (struct facts){
		.arena = arena,
		.conf = conf,
		.path = path,
		.link = link,
		.mark = (uint32_t)conf->firewall.mark,
		.mask = (uint32_t)conf->firewall.mask,
		.table = (long)conf->firewall.table,
	};
	for (size_t i = 0; i < conf->firewall.n_interfaces; i++)
		add_interface(f, conf->firewall.interfaces[i].name);
	if (!f->n_interfaces) {
		ask_rules(f, 4);
		ask_rules(f, 6);
	}
	if (!f->n_interfaces)
		add_interface(f, "");
}

void
facts_clear(struct facts *f)
{
	for (int i = 0; i < 2; i++) {
		json_decref(f->rules[i].json);
		json_decref(f->routes[i].json);
	}
	for (size_t i = 0; i < f->n_others; i++)
		json_decref(f->others[i].json);
	json_decref(f->links.json);
	json_decref(f->daemon.json);
	if (f->have_ruleset)
		ruleset_clear(&f->ruleset);
}
