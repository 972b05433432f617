#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/policy.h"
#include "conf/reader.h"

static reader_value *const readers[OPTION_TYPES] = {
	[OPTION_BOOL] = reader_bool,
	[OPTION_INT] = reader_int,
	[OPTION_DURATION] = reader_united,
	[OPTION_SIZE] = reader_united,
	[OPTION_RATE] = reader_united,
	[OPTION_WORD] = reader_word,
	[OPTION_USER] = reader_user,
	[OPTION_SOCKET] = reader_socket,
	[OPTION_MODE] = reader_mode,
	[OPTION_NAME] = reader_name,
	[OPTION_CONGESTION] = reader_congestion,
	[OPTION_ALGORITHMS] = reader_algorithms,
	[OPTION_INTERFACE] = reader_interface,
	[OPTION_ADDRESS] = reader_address,
	[OPTION_INTERFACES] = reader_interfaces,
	[OPTION_ENDPOINT] = reader_endpoint,
	[OPTION_PREFIXES] = reader_prefixes,
	[OPTION_PORTS] = reader_ports,
	[OPTION_SOURCE] = reader_source,
	[OPTION_GROUP] = reader_group,
	[OPTION_LISTENS] = reader_listens,
	[OPTION_POLICIES] = reader_policies,
};

static const struct report_place command_line = { "command line", 0 };

struct report_place
reader_place(const struct reader *r, const config_setting_t *at)
{
	/* config_setting_source_line() would cut it to 16 bits. */
	return conf_text_place(r->text, at->line);
}

void
reader_error(
    struct reader *r, const config_setting_t *at, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	report_add_v(r->report, CONF_ERROR, reader_place(r, at), format, ap);
	va_end(ap);
}

void
reader_warning(
    struct reader *r, struct report_place at, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	report_add_v(r->report, CONF_WARNING, at, format, ap);
	va_end(ap);
}

void *
reader_alloc(struct reader *r, size_t n, size_t size)
{
	void *memory = conf_alloc(r->conf, n, size);

	if (!memory)
		report_error(r->report, conf_text_place(r->text, 1), "%s",
		    strerror(ENOMEM));
	return memory;
}

static void
unknown(struct reader *r, enum option_scope scope, const config_setting_t *s)
{
	const struct option_row *same = option_find_elsewhere(s->name);
	const struct option_row *near = option_nearest(scope, s->name);

	if (same)
		reader_error(r, s, "unknown option \"%s\" here (it belongs %s)",
		    s->name, option_place(same->scope));
	else if (near)
		reader_error(r, s,
		    "unknown option \"%s\" (did you mean \"%s\"%s%s?)", s->name,
		    near->name, near->scope == scope ? "" : " ",
		    near->scope == scope ? "" : option_place(near->scope));
	else
		reader_error(r, s,
		    "unknown option \"%s\" (unatatp.conf(5) has them all)",
		    s->name);
}

void
reader_scope(struct reader *r, enum option_scope scope,
    const config_setting_t *group, void *base)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s =
		    config_setting_get_elem(group, (unsigned)i);
		const struct option_row *row = option_find(scope, s->name);

		if (row)
			readers[row->type](r, row, s, base);
		else
			unknown(r, scope, s);
	}
}

void
reader_group(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	if (config_setting_is_group(s))
		reader_scope(r, row->inner, s, reader_field(row, base));
	else
		reader_wrong_type(r, row, s);
}

/* What libconfig says, and what it means. */
static const struct {
	const char *said, *meant;
} syntax_errors[] = {
	{ "syntax error",
	    "syntax error (is a quote, bracket, brace or \"=\" missing here "
	    "or just before?)" },
	{ "duplicate setting name",
	    "this option is set twice in the same group" },
	{ "mismatched element type in array",
	    "an array [ ] holds values of one kind only (did you mean a "
	    "list ( )?)" },
};

static void
report_syntax(struct reader *r, const config_t *config)
{
	const char *what = config_error_text(config);
	unsigned line = (unsigned)config_error_line(config);

	for (size_t i = 0; i < sizeof(syntax_errors) / sizeof(*syntax_errors);
	     i++)
		if (what && !strcmp(what, syntax_errors[i].said))
			what = syntax_errors[i].meant;
	report_error(r->report, conf_text_place(r->text, line), "%s",
	    what ? what : "unreadable");
}

/* The built-in defaults of SCOPE into BASE, by the way that a file goes. */
static int
read_defaults(struct reader *r, enum option_scope scope, void *base)
{
	struct conf_text text = { 0 };
	char *data = NULL;
	size_t len;
	FILE *out = open_memstream(&data, &len);
	config_t config;
	int err = -ENOMEM;

	config_init(&config);
	if (!out)
		goto done;
	option_write_defaults(out, scope);
	/* Out of memory at the end shows in data alone (glibc 2.36). */
	if (fclose(out) || !data)
		goto done;
	err = conf_text_set(&text, "built-in", data, r->report);
	if (err)
		goto done;
	r->text = &text;
	if (config_read_string(&config, text.data))
		reader_scope(r, scope, config_root_setting(&config), base);
	else
		report_syntax(r, &config);
	r->text = NULL;
	if (r->report->errors) /* ours are right: memory was short */
		err = -ENOMEM;
done:
	config_destroy(&config);
	conf_text_free(&text);
	free(data);
	return err;
}

static int
read_all_defaults(struct reader *r)
{
	struct conf *conf = r->conf;
	int err = read_defaults(r, OPTION_IN_LISTEN, &r->listen);

	if (!err)
		err = read_defaults(r, OPTION_IN_TOP, conf);
	if (!err)
		err = read_defaults(r, OPTION_IN_POLICY, &conf->fallback);
	conf->fallback.name = conf_intern("default");
	return conf->fallback.name ? err : -ENOMEM;
}

static void
override_port(struct conf *conf, uint16_t port)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->n_listens; i++) {
		struct addr a = conf->listens[i];
		size_t same = 0;

		addr_set_port(&a, port);
		while (same < n && !addr_equal(&conf->listens[same], &a))
			same++;
		if (same == n)
			conf->listens[n++] = a;
	}
	conf->n_listens = n;
}

static void
override_source(struct conf *conf, size_t family, struct prefix prefix)
{
	for (size_t i = 0; i <= conf->n_policies; i++) {
		struct policy *p =
		    i < conf->n_policies ? &conf->policies[i] : &conf->fallback;

		if (p->name != conf->fallback.name)
			continue;
		p->source.client = CONF_CLIENT_NONE;
		p->source.has[family] = true;
		p->source.prefix[family] = prefix;
	}
}

static void
take_bind(struct reader *r, const char *text, size_t family)
{
	struct conf_source source = { 0 };

	if (!reader_take_source(r, command_line, text, &source))
		return;
	if (!source.has[family] || (family == 0 && source.prefix[0].len != 32))
		report_error(r->report, command_line, "\"%s\" is no IPv%s",
		    text, family ? "6 prefix" : "4 address");
	else
		override_source(r->conf, family, source.prefix[family]);
}

static void
override_congestion(struct reader *r, const char *text)
{
	struct conf *conf = r->conf;
	char name[SOCK_CONGESTION_MAX];

	if (!strcmp(text, CONF_AUTO)) {
		report_error(r->report, command_line,
		    "\"auto\" is for the file, which says what to choose "
		    "from (congestion_among)");
		return;
	}
	if (!reader_take_algorithm(r, command_line, text, name))
		return;
	for (size_t i = 0; i <= conf->n_policies; i++) {
		struct policy *p =
		    i < conf->n_policies ? &conf->policies[i] : &conf->fallback;

		memcpy(p->client.congestion, name, sizeof(name));
		memcpy(p->server.congestion, name, sizeof(name));
		p->client.n_congestion_among = 0;
		p->server.n_congestion_among = 0;
	}
}

static void
apply_override(struct reader *r, const struct conf_override *over)
{
	struct conf *conf = r->conf;

	if (over->port)
		override_port(conf, over->port);
	if (over->congestion)
		override_congestion(r, over->congestion);
	if (over->bind_ipv4)
		take_bind(r, over->bind_ipv4, 0);
	if (over->bind_ipv6_prefix)
		take_bind(r, over->bind_ipv6_prefix, 1);
	conf->log.level += over->verbose;
	if (conf->log.level > LOG_LEVEL_DEBUG)
		conf->log.level = LOG_LEVEL_DEBUG;
}

/* Everything that needs the whole of the configuration. */
static int
complete(struct reader *r, const struct conf_override *over)
{
	struct conf *conf = r->conf;
	int err;

	conf->fallback.index = (unsigned)conf->n_policies;
	if (over)
		apply_override(r, over);
	conf_check_names(r);
	conf_check_user(r);
	conf_check_firewall(r);
	conf_check_limits(r);
	conf_check_control(r);
	conf_check_auto(r);
	if (r->report->errors)
		return 0;
	conf_check_windows(r);
	err = policy_index_build(conf);
	if (!err)
		conf_check_reach(r);
	return err;
}

static int
read_config(struct reader *r, const struct conf_text *text,
    const struct conf_override *over)
{
	config_t config;
	int err = 0;

	r->text = text;
	config_init(&config);
	if (config_read_string(&config, text->data)) {
		r->root = config_root_setting(&config);
		reader_scope(r, OPTION_IN_TOP, r->root, r->conf);
		err = complete(r, over);
	} else {
		report_syntax(r, &config);
	}
	r->root = NULL;
	r->text = NULL;
	config_destroy(&config);
	return err;
}

/* Which files it came from: a reload will want to read them again. */
static int
note_files(struct conf *conf, const struct conf_text *text)
{
	conf->files = conf_alloc(conf, text->n_files, sizeof(*conf->files));
	if (!conf->files)
		return -ENOMEM;
	for (size_t i = 0; i < text->n_files; i++) {
		conf->files[i] = conf_intern(text->files[i]);
		if (!conf->files[i])
			return -ENOMEM;
	}
	conf->n_files = text->n_files;
	return 0;
}

struct conf *
conf_read(const char *path, const struct conf_override *over,
    struct conf_report *report)
{
	struct reader r = { .conf = conf_new(), .report = report };
	struct conf_text text = { 0 };
	int err;

	report->errors = report->warnings = 0;
	err = r.conf ? read_all_defaults(&r) : -ENOMEM;
	if (err)
		goto done;
	r.conf->builtin = !path;
	err = path ? conf_text_load(&text, path, report)
		   : conf_text_set(&text, "built-in", "", report);
	if (!err && path)
		err = note_files(r.conf, &text);
	if (!err)
		err = read_config(&r, &text, over);
done:
	conf_text_free(&text);
	if (err && !report->errors)
		report_error(report,
		    (struct report_place){ path ? path : "built-in", 0 }, "%s",
		    strerror(-err));
	if (!report->errors)
		return r.conf;
	conf_unref(r.conf);
	errno = err == -ENOENT ? ENOENT : EINVAL;
	return NULL;
}

int
conf_control_path(const char *path, char text[SOCK_PATH_MAX])
{
	struct conf_report report = { 0 };
	struct conf_text file = { 0 };
	const char *value = CONF_CONTROL_PATH;
	config_t config;
	int err = path ? conf_text_load(&file, path, &report) : -EACCES;

	config_init(&config);
	if (!err && !config_read_string(&config, file.data))
		err = -EINVAL;
	/* What stands before a syntax error is in the tree all the same. */
	if ((!err || err == -EINVAL) &&
	    config_lookup_string(&config, "control.path", &value))
		err = 0;
	if (err == -EACCES)
		err = 0;
	if (!err && strlen(value) >= SOCK_PATH_MAX)
		err = -EINVAL;
	if (!err)
		strcpy(text, value);
	config_destroy(&config);
	conf_text_free(&file);
	return err;
}
