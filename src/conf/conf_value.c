/* Reading options that hold one value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/reader.h"
#include "conf/suggest.h"
#include "conf/value.h"

#define NAME_MAX_LEN 64

void
reader_wrong_type(
    struct reader *r, const struct option_row *row, const config_setting_t *at)
{
	reader_error(
	    r, at, "\"%s\" must be %s", row->name, option_type_text(row->type));
}

const char *
reader_string(const config_setting_t *at)
{
	return config_setting_type(at) == CONFIG_TYPE_STRING
	    ? config_setting_get_string(at)
	    : NULL;
}

void
reader_bool(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	bool *field = reader_field(row, base);

	if (config_setting_type(s) == CONFIG_TYPE_BOOL)
		*field = config_setting_get_bool(s);
	else
		reader_wrong_type(r, row, s);
}

static void
store(struct reader *r, const struct option_row *row, const config_setting_t *s,
    void *base, int64_t value)
{
	int64_t *field = reader_field(row, base);
	char range[OPTION_RANGE_MAX];

	if (option_in_range(row, value))
		*field = value;
	else
		reader_error(r, s, "\"%s\" is out of range (%s)", row->name,
		    option_range(row, range));
}

void
reader_int(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	/* conf_text has made every integer one of 64 bits. */
	if (config_setting_type(s) == CONFIG_TYPE_INT64)
		store(r, row, s, base, config_setting_get_int64(s));
	else
		reader_wrong_type(r, row, s);
}

/* "ms, s, m, h" */
static const char *
list_units(const struct value_unit *units, char text[VALUE_TEXT_MAX])
{
	size_t len = 0;

	text[0] = '\0';
	for (; units->name; units++)
		if (*units->name)
			len +=
			    (size_t)snprintf(text + len, VALUE_TEXT_MAX - len,
				"%s%s", len ? ", " : "", units->name);
	return text;
}

static void
bad_number(struct reader *r, const struct option_row *row,
    const config_setting_t *s, const char *text, enum value_error error)
{
	char units[VALUE_TEXT_MAX], range[OPTION_RANGE_MAX];

	list_units(option_units(row->type), units);
	switch (error) {
	case VALUE_NO_UNIT:
		reader_error(r, s, "\"%s\": no unit in \"%s\" (units: %s)",
		    row->name, text, units);
		break;
	case VALUE_BAD_UNIT:
		reader_error(r, s, "\"%s\": bad unit in \"%s\" (units: %s)",
		    row->name, text, units);
		break;
	case VALUE_TOO_LARGE:
		reader_error(r, s, "\"%s\" is out of range (%s)", row->name,
		    option_range(row, range));
		break;
	default:
		reader_error(r, s, "\"%s\" must be %s, not \"%s\"", row->name,
		    option_type_text(row->type), text);
	}
}

void
reader_united(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	char number[32];
	enum value_error error;
	int64_t value;

	if (!text && config_setting_type(s) != CONFIG_TYPE_INT64) {
		reader_wrong_type(r, row, s);
		return;
	}
	if (!text) {
		snprintf(number, sizeof(number), "%lld",
		    config_setting_get_int64(s));
		text = number;
	}
	error = value_parse(option_units(row->type), text, &value);
	if (error == VALUE_OK)
		store(r, row, s, base, value);
	else
		bad_number(r, row, s, text, error);
}

static void
bad_word(struct reader *r, const struct option_row *row,
    const config_setting_t *s, const char *text)
{
	struct suggest near = suggest_for(text);
	char list[128] = "";
	size_t len = 0;

	for (const struct option_word *w = row->words; w->name; w++) {
		suggest_offer(&near, w->name);
		len += (size_t)snprintf(list + len, sizeof(list) - len,
		    "%s\"%s\"", len ? ", " : "", w->name);
	}
	if (near.best)
		reader_error(r, s,
		    "\"%s\" cannot be \"%s\" (did you mean \"%s\"?)", row->name,
		    text, near.best);
	else
		reader_error(r, s, "\"%s\" cannot be \"%s\" (one of %s)",
		    row->name, text, list);
}

void
reader_word(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	int64_t *field = reader_field(row, base);

	if (!text) {
		reader_wrong_type(r, row, s);
		return;
	}
	for (const struct option_word *w = row->words; w->name; w++) {
		if (!strcmp(w->name, text)) {
			*field = w->value;
			return;
		}
	}
	bad_word(r, row, s, text);
}

void
reader_user(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	char **field = reader_field(row, base);
	char *copy;

	if (!text) {
		reader_wrong_type(r, row, s);
		return;
	}
	copy = reader_alloc(r, strlen(text) + 1, 1);
	if (copy)
		*field = strcpy(copy, text);
}

/* What sun_path of unix(7) has room for, and no relative path. */
void
reader_socket(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);

	if (text && *text && *text != '/')
		reader_error(r, s, "\"%s\" must begin with \"/\"", row->name);
	else if (text && strlen(text) >= SOCK_PATH_MAX)
		reader_error(r, s,
		    "\"%s\" is too long for a socket (%d bytes at most)",
		    row->name, SOCK_PATH_MAX - 1);
	else
		reader_user(r, row, s, base);
}

void
reader_mode(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	int64_t *field = reader_field(row, base);

	if (!text)
		reader_wrong_type(r, row, s);
	else if (!*text || strlen(text) > 4 || text[strspn(text, "01234567")] ||
	    strtol(text, NULL, 8) > 0777)
		reader_error(r, s,
		    "\"%s\" must be %s (octal digits, 0000 to 0777)", row->name,
		    option_type_text(row->type));
	else
		*field = strtol(text, NULL, 8);
}

/* What the text of an endpoint lacks; NULL: nothing. */
static const char *
endpoint_fault(const char *text)
{
	struct addr a;

	if (strlen(text) >= SOCK_PATH_MAX)
		return "too long for a socket (107 bytes at most)";
	if (!*text || *text == '/')
		return NULL;
	if (addr_parse(&a, text, 0))
		return "neither a loopback address nor an absolute path";
	if (!addr_is_loopback(&a))
		return "no loopback address, and what it tells is not for "
		       "the network: take \"127.0.0.1\", \"::1\" or a path, "
		       "and an SSH tunnel or a proxy with a password to it";
	return NULL;
}

void
reader_endpoint(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	const char *fault = text ? endpoint_fault(text) : NULL;

	if (fault)
		reader_error(
		    r, s, "\"%s\": \"%s\" is %s", row->name, text, fault);
	else
		reader_user(r, row, s, base);
}

bool
reader_is_name(const char *text)
{
	size_t len = strspn(text,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_.-");

	return len && len <= NAME_MAX_LEN && !text[len];
}

void
reader_name(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);
	const char **field = reader_field(row, base);

	if (!text) {
		reader_wrong_type(r, row, s);
		return;
	}
	if (!reader_is_name(text)) {
		reader_error(r, s,
		    "\"%s\" is no name (1 to %d of A-Z a-z 0-9 _ . -)", text,
		    NAME_MAX_LEN);
		return;
	}
	text = conf_intern(text);
	if (text)
		*field = text;
	else
		reader_error(r, s, "out of memory");
}

/* What the kernel's dev_valid_name() takes. */
bool
reader_take_interface(struct reader *r, struct report_place at,
    const char *text, char field[SOCK_INTERFACE_MAX])
{
	if (strlen(text) >= SOCK_INTERFACE_MAX ||
	    strpbrk(text, "/: \t\n\v\f\r") || !strcmp(text, ".") ||
	    !strcmp(text, "..")) {
		report_error(r->report, at,
		    "\"%s\" is no name of an interface (15 characters at "
		    "most, none of them blank, \"/\" or \":\")",
		    text);
		return false;
	}
	strcpy(field, text);
	return true;
}

void
reader_interface(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base)
{
	const char *text = reader_string(s);

	if (text)
		reader_take_interface(
		    r, reader_place(r, s), text, reader_field(row, base));
	else
		reader_wrong_type(r, row, s);
}
