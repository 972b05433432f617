/* Reading addresses, prefixes, ports, and lists of groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/reader.h"

void
reader_address(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	struct addr a;

	if (!text) {
		reader_wrong_type(r, row, s);
		return;
	}
	if (addr_parse(&a, text, 0)) {
		reader_error(r, s,
		    "bad address \"%s\" (an IPv4 or IPv6 "
		    "address in numbers is wanted)",
		    text);
		return;
	}
	addr_unmap(&a);
	*(struct addr *)reader_field(row, base) = a;
}

bool
reader_take_prefix(struct reader *r, struct report_place at, const char *text,
    struct prefix *p)
{
	char meant[PREFIX_TEXT_MAX];

	switch (prefix_parse(p, text)) {
	case PREFIX_OK:
		return true;
	case PREFIX_BAD_ADDRESS:
		report_error(r->report, at,
		    "bad address \"%s\" (an IPv4 or IPv6 address or prefix "
		    "in numbers is wanted)",
		    text);
		break;
	case PREFIX_BAD_LENGTH:
		report_error(r->report, at,
		    "bad prefix length in \"%s\" (0 to %d)", text,
		    strchr(text, ':') ? 128 : 32);
		break;
	case PREFIX_HOST_BITS:
		report_error(r->report, at,
		    "\"%s\" has host bits set (did you mean \"%s\"?)", text,
		    prefix_format(p, meant));
		break;
	}
	return false;
}

static bool
is_many(const config_setting_t *s)
{
	return config_setting_is_array(s) || config_setting_is_list(s);
}

static const config_setting_t *
element(const config_setting_t *s, size_t i)
{
	return config_setting_get_elem(s, (unsigned)i);
}

void
reader_prefixes(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	size_t n = (size_t)config_setting_length(s), used = 0;
	struct prefix *list;

	if (!is_many(s)) {
		reader_wrong_type(r, row, s);
		return;
	}
	list = n ? reader_alloc(r, n, sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < n; i++) {
		const config_setting_t *e = element(s, i);
		const char *text = reader_string(e);

		if (!text)
			reader_wrong_type(r, row, e);
		else if (reader_take_prefix(
			     r, reader_place(r, e), text, &list[used]))
			used++;
	}
	*(struct prefix **)reader_field(row, base) = list;
	*reader_count(row, base) = used;
}

/*
 * Not what packet filters take for a pattern, which ip-rule(8) cannot
 * have, nor what would end the name in the text of a rule.
 */
static bool
take_exact_interface(struct reader *r, struct report_place at, const char *text,
    char field[SOCK_INTERFACE_MAX])
{
	if (!strpbrk(text, "*+?[]\"\\'$`;#{}!"))
		return reader_take_interface(r, at, text, field);
	report_error(r->report, at,
	    "\"%s\" cannot stand in a rule: no wildcards, no quotes (write "
	    "each interface by its name)",
	    text);
	return false;
}

void
reader_interfaces(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	size_t n = (size_t)config_setting_length(s), used = 0;
	struct conf_interface *list;

	if (!is_many(s)) {
		reader_wrong_type(r, row, s);
		return;
	}
	list = n ? reader_alloc(r, n, sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < n; i++) {
		const config_setting_t *e = element(s, i);
		const char *text = reader_string(e);

		if (!text || !*text)
			reader_wrong_type(r, row, e);
		else if (take_exact_interface(
			     r, reader_place(r, e), text, list[used].name))
			used++;
	}
	*(struct conf_interface **)reader_field(row, base) = list;
	*reader_count(row, base) = used;
}

/* Digits only, 1 to 65535; 0 when it is none. Moves *TEXT past them. */
static uint16_t
take_port(const char **text)
{
	size_t digits = strspn(*text, "0123456789");
	unsigned long port = strtoul(*text, NULL, 10);

	if (!digits || digits > 5 || port > 65535)
		return 0;
	*text += digits;
	return (uint16_t)port;
}

static bool
parse_ports(const char *text, struct conf_ports *ports)
{
	ports->first = ports->last = take_port(&text);
	if (ports->first && *text == '-') {
		text++;
		ports->last = take_port(&text);
	}
	return ports->first && ports->last && !*text;
}

static bool
read_ports(struct reader *r, const struct option_row *row,
    const config_setting_t *e, struct conf_ports *ports)
{
	const char *text = reader_string(e);
	char number[32];

	if (config_setting_type(e) == CONFIG_TYPE_INT64) {
		snprintf(number, sizeof(number), "%lld",
		    config_setting_get_int64(e));
		text = number;
	}
	if (!text) {
		reader_wrong_type(r, row, e);
		return false;
	}
	if (!parse_ports(text, ports)) {
		reader_error(r, e,
		    "bad port \"%s\" (1 to 65535, or a range "
		    "such as \"8000-8999\")",
		    text);
		return false;
	}
	if (ports->first > ports->last) {
		reader_error(r, e,
		    "\"%s\" runs backwards (did you mean \"%u-%u\"?)", text,
		    ports->last, ports->first);
		return false;
	}
	return true;
}

static int
compare_ports(const void *a, const void *b)
{
	const struct conf_ports *x = a, *y = b;

	return x->first - y->first;
}

/* Sorts the ranges and joins those that touch: policy_find relies on it. */
static size_t
join_ports(struct conf_ports *list, size_t n)
{
	size_t used = 0;

	if (!n)
		return 0;
	qsort(list, n, sizeof(*list), compare_ports);
	for (size_t i = 1; i < n; i++) {
		struct conf_ports *last = &list[used];

		if (list[i].first > last->last + 1)
			list[++used] = list[i];
		else if (list[i].last > last->last)
			last->last = list[i].last;
	}
	return used + 1;
}

void
reader_ports(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	size_t n = (size_t)config_setting_length(s), used = 0;
	struct conf_ports *list;

	if (!is_many(s)) {
		reader_wrong_type(r, row, s);
		return;
	}
	list = n ? reader_alloc(r, n, sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < n; i++)
		if (read_ports(r, row, element(s, i), &list[used]))
			used++;
	*(struct conf_ports **)reader_field(row, base) = list;
	*reader_count(row, base) = join_ports(list, used);
}

bool
reader_take_source(struct reader *r, struct report_place at, const char *text,
    struct conf_source *source)
{
	static const struct prefix none;
	struct prefix p;
	size_t family;

	if (!reader_take_prefix(r, at, text, &p))
		return false;
	if (!p.len || !memcmp(p.bytes, none.bytes, sizeof(p.bytes))) {
		report_error(r->report, at,
		    "\"%s\" is no source (did you mean \"gateway\"?)", text);
		return false;
	}
	family = p.family == AF_INET6;
	if (source->has[family]) {
		report_error(r->report, at,
		    "\"%s\" is a second source for IPv%d (one a family)", text,
		    family ? 6 : 4);
		return false;
	}
	source->has[family] = true;
	source->prefix[family] = p;
	return true;
}

/* The words that stand for the client's own address. */
static bool
take_client(const char *text, struct conf_source *source)
{
	if (!strcmp(text, "clientip"))
		source->client = CONF_CLIENT_ADDRESS;
	else if (!strcmp(text, "client"))
		source->client = CONF_CLIENT_PORT;
	return source->client != CONF_CLIENT_NONE;
}

void
reader_source(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	struct conf_source source = { 0 };
	size_t n = is_many(s) ? (size_t)config_setting_length(s) : 0;

	if (text && strcmp(text, "gateway") && !take_client(text, &source))
		reader_take_source(r, reader_place(r, s), text, &source);
	if (!text && !n)
		reader_wrong_type(r, row, s);
	for (size_t i = 0; i < n; i++) {
		const config_setting_t *e = element(s, i);

		text = reader_string(e);
		if (text)
			reader_take_source(
			    r, reader_place(r, e), text, &source);
		else
			reader_wrong_type(r, row, e);
	}
	*(struct conf_source *)reader_field(row, base) = source;
}

/* A mistake makes the port 0: such an address is nobody's double. */
static struct addr
read_listen(
    struct reader *r, const struct option_row *row, const config_setting_t *e)
{
	struct option_listen listen = r->listen;
	unsigned errors = r->report->errors;

	if (config_setting_is_group(e))
		reader_scope(r, OPTION_IN_LISTEN, e, &listen);
	else
		reader_wrong_type(r, row, e);
	if (r->report->errors > errors)
		listen.port = 0;
	addr_set_port(&listen.address, (uint16_t)listen.port);
	return listen.address;
}

void
reader_listens(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	size_t n = (size_t)config_setting_length(s);
	struct addr *list;

	if (!config_setting_is_list(s)) {
		reader_wrong_type(r, row, s);
		return;
	}
	if (!n) {
		reader_error(r, s,
		    "\"%s\" is empty (leave it out for the "
		    "default)",
		    row->name);
		return;
	}
	list = reader_alloc(r, n, sizeof(*list));
	for (size_t i = 0; list && i < n; i++)
		list[i] = read_listen(r, row, element(s, i));
	*(struct addr **)reader_field(row, base) = list;
	*reader_count(row, base) = list ? n : 0;
}

static void
read_policy(struct reader *r, const struct option_row *row,
    const config_setting_t *e, struct policy *p)
{
	p->line = (int)reader_place(r, e).line;
	if (!config_setting_is_group(e)) {
		reader_wrong_type(r, row, e);
		return;
	}
	reader_scope(r, OPTION_IN_POLICY, e, p);
	if (!config_setting_get_member(e, "name"))
		reader_error(r, e,
		    "this policy has no name (give it one: name = \"...\";)");
}

void
reader_policies(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	size_t n = (size_t)config_setting_length(s);
	struct policy *list;

	if (!config_setting_is_list(s)) {
		reader_wrong_type(r, row, s);
		return;
	}
	list = n ? reader_alloc(r, n, sizeof(*list)) : NULL;
	for (size_t i = 0; list && i < n; i++) {
		list[i] = r->conf->fallback;
		list[i].name = NULL;
		list[i].index = (unsigned)i;
		read_policy(r, row, element(s, i), &list[i]);
	}
	*(struct policy **)reader_field(row, base) = list;
	*reader_count(row, base) = list ? n : 0;
}
