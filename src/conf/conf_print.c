#include <errno.h>
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/policy.h"
#include "conf/value.h"

#define LINE_ELEMENTS 4 /* a longer list has a line for each element */

struct printer {
	struct evbuffer *out;
	const struct conf *conf;
	int depth;
	int err;
};

typedef void print_value(struct printer *p, const struct option_row *row,
    const void *field, size_t n);

static void print_scope(
    struct printer *p, enum option_scope scope, const void *base);

__attribute__((format(printf, 2, 3))) static void
print(struct printer *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (evbuffer_add_vprintf(p->out, format, ap) < 0)
		p->err = -ENOMEM;
	va_end(ap);
}

static void
begin_line(struct printer *p)
{
	print(p, "%*s", 2 * p->depth, "");
}

static void
print_quoted(struct printer *p, const char *text)
{
	print(p, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			print(p, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			print(p, "\\x%02x", (unsigned char)*text);
		else
			print(p, "%c", *text);
	}
	print(p, "\"");
}

static void
print_bool(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	(void)row;
	(void)n;
	print(p, "%s", *(const bool *)field ? "true" : "false");
}

/* The suffix L: other readers of libconfig 1.5 would cut it to 32 bits. */
static void
print_int(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	int64_t value = *(const int64_t *)field;
	const char *wide = value > INT32_MAX ? "L" : "";

	(void)n;
	if (row->flags & OPTION_HEX)
		print(p, "0x%llx%s", (unsigned long long)value, wide);
	else
		print(p, "%lld%s", (long long)value, wide);
}

static void
print_united(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	char text[VALUE_TEXT_MAX];

	(void)n;
	print(p, "\"%s\"",
	    value_format(
		option_units(row->type), *(const int64_t *)field, text));
}

static void
print_word(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	const struct option_word *w = row->words;

	(void)n;
	while (w->name && w->value != *(const int64_t *)field)
		w++;
	print_quoted(p, w->name ? w->name : "?");
}

static void
print_pointer(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	(void)row;
	(void)n;
	print_quoted(p, *(const char *const *)field);
}

static void
print_mode(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	(void)row;
	(void)n;
	print(p, "\"%04llo\"", (unsigned long long)*(const int64_t *)field);
}

static void
print_array(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	(void)row;
	(void)n;
	print_quoted(p, field);
}

static void
print_congestion(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	(void)row;
	(void)n;
	print_quoted(p, *(const char *)field ? field : "system");
}

/* What stands before element I of N in a list. */
static void
separate(struct printer *p, size_t i, size_t n)
{
	if (i)
		print(p, ",");
	if (n <= LINE_ELEMENTS) {
		print(p, " ");
	} else {
		print(p, "\n");
		begin_line(p);
		print(p, "  ");
	}
}

static void
print_algorithms(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	const char *const *list = *(const char *const *const *)field;

	(void)row;
	print(p, "[");
	for (size_t i = 0; i < n; i++) {
		separate(p, i, n);
		print_quoted(p, list[i]);
	}
	print(p, " ]");
}

static void
print_address(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	char text[ADDR_TEXT_MAX];

	(void)row;
	(void)n;
	print_quoted(p, addr_format_host(field, text));
}

static void
print_prefixes(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	const struct prefix *list = *(struct prefix *const *)field;
	char text[PREFIX_TEXT_MAX];

	(void)row;
	print(p, "[");
	for (size_t i = 0; i < n; i++) {
		separate(p, i, n);
		print(p, "\"%s\"", prefix_format(&list[i], text));
	}
	print(p, " ]");
}

static void
print_interfaces(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	const struct conf_interface *list =
	    *(struct conf_interface *const *)field;

	(void)row;
	print(p, "[");
	for (size_t i = 0; i < n; i++) {
		separate(p, i, n);
		print_quoted(p, list[i].name);
	}
	print(p, " ]");
}

static void
print_ports(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	const struct conf_ports *list = *(struct conf_ports *const *)field;

	(void)row;
	print(p, "[");
	for (size_t i = 0; i < n; i++) {
		separate(p, i, n);
		if (list[i].first == list[i].last)
			print(p, "\"%u\"", list[i].first);
		else
			print(p, "\"%u-%u\"", list[i].first, list[i].last);
	}
	print(p, " ]");
}

static void
print_source(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	static const char *const no_prefix[] = {
		[CONF_CLIENT_NONE] = "gateway",
		[CONF_CLIENT_ADDRESS] = "clientip",
		[CONF_CLIENT_PORT] = "client",
	};
	const struct conf_source *source = field;
	size_t count = (size_t)source->has[0] + source->has[1], printed = 0;
	char text[PREFIX_TEXT_MAX];

	(void)row;
	(void)n;
	if (!count) {
		print(p, "\"%s\"", no_prefix[source->client]);
		return;
	}
	print(p, "%s", count > 1 ? "[ " : "");
	for (size_t i = 0; i < 2; i++)
		if (source->has[i])
			print(p, "%s\"%s\"", printed++ ? ", " : "",
			    prefix_format(&source->prefix[i], text));
	print(p, "%s", count > 1 ? " ]" : "");
}

/* The options of a scope, in braces. */
static void
print_braces(struct printer *p, enum option_scope scope, const void *base)
{
	print(p, "{\n");
	p->depth++;
	print_scope(p, scope, base);
	p->depth--;
	begin_line(p);
	print(p, "}");
}

static void
print_group(struct printer *p, const struct option_row *row, const void *field,
    size_t n)
{
	(void)n;
	print_braces(p, row->inner, field);
}

static void
print_listens(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	const struct addr *list = *(struct addr *const *)field;

	(void)row;
	print(p, "( ");
	for (size_t i = 0; i < n; i++) {
		struct option_listen listen = { list[i], addr_port(&list[i]) };

		print_braces(p, OPTION_IN_LISTEN, &listen);
		print(p, "%s", i + 1 < n ? ", " : "");
	}
	print(p, " )");
}

static bool
has_policy(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (!strcmp(conf->policies[i].name, name))
			return true;
	return false;
}

/*
 * The fallback too is the effective configuration, so it is printed as a
 * last policy, unless no flow ever gets that far.
 */
static void
print_fallback(struct printer *p)
{
	struct policy last = p->conf->fallback;
	char name[32] = "default";

	for (unsigned i = 2; has_policy(p->conf, name); i++)
		snprintf(name, sizeof(name), "default-%u", i);
	last.name = name;
	print_braces(p, OPTION_IN_POLICY, &last);
}

static void
print_policies(struct printer *p, const struct option_row *row,
    const void *field, size_t n)
{
	const struct policy *list = *(struct policy *const *)field;
	bool closed = false;

	(void)row;
	print(p, "( ");
	for (size_t i = 0; i < n; i++) {
		closed |= policy_is_universal(&list[i]);
		print_braces(p, OPTION_IN_POLICY, &list[i]);
		print(p, "%s", i + 1 < n || !closed ? ", " : "");
	}
	if (!closed)
		print_fallback(p);
	print(p, " )");
}

static print_value *const printers[OPTION_TYPES] = {
	[OPTION_BOOL] = print_bool,
	[OPTION_INT] = print_int,
	[OPTION_DURATION] = print_united,
	[OPTION_SIZE] = print_united,
	[OPTION_RATE] = print_united,
	[OPTION_WORD] = print_word,
	[OPTION_USER] = print_pointer,
	[OPTION_SOCKET] = print_pointer,
	[OPTION_MODE] = print_mode,
	[OPTION_NAME] = print_pointer,
	[OPTION_CONGESTION] = print_congestion,
	[OPTION_ALGORITHMS] = print_algorithms,
	[OPTION_INTERFACE] = print_array,
	[OPTION_INTERFACES] = print_interfaces,
	[OPTION_ADDRESS] = print_address,
	[OPTION_ENDPOINT] = print_pointer,
	[OPTION_PREFIXES] = print_prefixes,
	[OPTION_PORTS] = print_ports,
	[OPTION_SOURCE] = print_source,
	[OPTION_GROUP] = print_group,
	[OPTION_LISTENS] = print_listens,
	[OPTION_POLICIES] = print_policies,
};

static void
print_scope(struct printer *p, enum option_scope scope, const void *base)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];
		const char *bytes = base;
		size_t n = 0;

		if (row->scope != scope)
			continue;
		if (row->count)
			memcpy(&n, bytes + row->count, sizeof(n));
		begin_line(p);
		print(p, "%s = ", row->name);
		printers[row->type](p, row, bytes + row->offset, n);
		print(p, ";\n");
	}
}

int
conf_print(const struct conf *conf, struct evbuffer *out)
{
	struct printer p = { .out = out, .conf = conf };

	print_scope(&p, OPTION_IN_TOP, conf);
	return p.err;
}
