/* Reading which congestion control a leg gets, or what it is chosen from. */
#include <stdio.h>
#include <string.h>

#include "conf/policy.h"
#include "conf/reader.h"
#include "conf/suggest.h"

/* What the kernel has now: it loads no module by itself for us to see. */
static const char *
algorithms(struct reader *r)
{
	FILE *in;

	if (*r->algorithms)
		return r->algorithms;
	in = fopen("/proc/sys/net/ipv4/tcp_available_congestion_control", "re");
	if (!in)
		return "";
	if (fgets(r->algorithms, sizeof(r->algorithms), in))
		r->algorithms[strcspn(r->algorithms, "\n")] = '\0';
	fclose(in);
	return r->algorithms;
}

/* A warning only: the module may be there when the daemon starts. */
static void
look_for_algorithm(struct reader *r, struct report_place at, const char *name)
{
	char list[sizeof(r->algorithms)], near_text[SOCK_CONGESTION_MAX] = "";
	struct suggest near = suggest_for(name);
	char *rest = list, *word;

	if (!*strcpy(list, algorithms(r)))
		return;
	while ((word = strsep(&rest, " "))) {
		if (!strcmp(word, name))
			return;
		suggest_offer(&near, word);
	}
	suggest_offer(&near, CONF_AUTO);
	if (near.best)
		snprintf(near_text, sizeof(near_text), "%.15s", near.best);
	if (*near_text)
		reader_warning(r, at,
		    "the kernel has no congestion algorithm \"%s\" (did you "
		    "mean \"%s\"?)",
		    name, near_text);
	else
		reader_warning(r, at,
		    "the kernel has no congestion algorithm \"%s\" (try "
		    "\"modprobe tcp_%s\"; it has: %s)",
		    name, name, algorithms(r));
}

bool
reader_take_algorithm(struct reader *r, struct report_place at,
    const char *text, char field[SOCK_CONGESTION_MAX])
{
	bool system = !strcmp(text, "system");

	if (!system &&
	    (!reader_is_name(text) || strlen(text) >= SOCK_CONGESTION_MAX)) {
		report_error(r->report, at,
		    "\"%s\" is no congestion algorithm (\"system\", or a "
		    "name of %d characters at most)",
		    text, SOCK_CONGESTION_MAX - 1);
		return false;
	}
	memset(field, 0, SOCK_CONGESTION_MAX);
	if (system)
		return true;
	strcpy(field, text);
	look_for_algorithm(r, at, text);
	return true;
}

/* The word alone: what it chooses from is looked at in the end. */
void
reader_congestion(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	char *field = reader_field(row, base);

	if (!text)
		reader_wrong_type(r, row, s);
	else if (!strcmp(text, CONF_AUTO))
		strcpy(field, CONF_AUTO);
	else
		reader_take_algorithm(r, reader_place(r, s), text, field);
}

static const char *
take_choice(struct reader *r, const config_setting_t *s, const char *text)
{
	char name[SOCK_CONGESTION_MAX];
	const char *found;

	if (!strcmp(text, "system") || !strcmp(text, CONF_AUTO)) {
		reader_error(r, s,
		    "\"%s\" is nothing to choose from (name algorithms)", text);
		return NULL;
	}
	if (!reader_take_algorithm(r, reader_place(r, s), text, name))
		return NULL;
	found = conf_intern(name);
	if (!found)
		reader_error(r, s, "out of memory");
	return found;
}

static bool
is_among(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == name)
			return true;
	return false;
}

void
reader_algorithms(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	bool many = config_setting_is_array(s) || config_setting_is_list(s);
	size_t n = many ? (size_t)config_setting_length(s) : 0, used = 0;
	const char **list;

	if (!many)
		reader_wrong_type(r, row, s);
	else if (n == 1 || n > CONF_AMONG_MAX)
		reader_error(r, s, "\"%s\" wants 2 to %d algorithms", row->name,
		    CONF_AMONG_MAX);
	if (!many || n == 1 || n > CONF_AMONG_MAX)
		return;
	list = n ? reader_alloc(r, n, sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < n; i++) {
		const config_setting_t *e =
		    config_setting_get_elem(s, (unsigned)i);
		const char *text = reader_string(e);

		if (!text)
			reader_wrong_type(r, row, e);
		else if ((list[used] = take_choice(r, e, text)) &&
		    is_among(list[used], list, used))
			reader_error(r, e, "\"%s\" is there twice", text);
		else if (list[used])
			used++;
	}
	*(const char ***)reader_field(row, base) = list;
	*reader_count(row, base) = used;
}

static bool
is_long(const config_setting_t *list)
{
	return list && config_setting_length(list) > 0;
}

static void
check_leg(
    struct reader *r, const config_setting_t *group, struct sock_options *leg)
{
	bool wanted = !strcmp(leg->congestion, CONF_AUTO);
	const config_setting_t *s = config_setting_get_member(
	    group, wanted ? "congestion" : "congestion_among");

	if (!s || wanted == (leg->n_congestion_among > 0))
		return;
	if (wanted &&
	    is_long(config_setting_get_member(group, "congestion_among")))
		return; /* and was found wanting */
	if (wanted) {
		reader_error(r, s,
		    "\"auto\" has nothing to choose from (add "
		    "congestion_among = [ \"cubic\", \"bbr\" ];)");
		return;
	}
	reader_warning(r, reader_place(r, s),
	    "\"congestion_among\" is for congestion = \"auto\", and is left "
	    "out here");
	leg->n_congestion_among = 0;
}

void
conf_check_auto(struct reader *r)
{
	struct conf *conf = r->conf;
	const config_setting_t *policies =
	    config_setting_get_member(r->root, "policies");

	for (size_t i = 0; policies && i < conf->n_policies; i++) {
		const config_setting_t *policy =
		    config_setting_get_elem(policies, (unsigned)i);
		const config_setting_t *client =
		    config_setting_get_member(policy, "client");
		const config_setting_t *server =
		    config_setting_get_member(policy, "server");

		if (client)
			check_leg(r, client, &conf->policies[i].client);
		if (server)
			check_leg(r, server, &conf->policies[i].server);
	}
}
