/*
 * option: the table of options. Reading, defaults, the words of the error
 * messages, `check --print` and the sample all follow it. Constant.
 */
#ifndef UNATATP_CONF_OPTION_H
#define UNATATP_CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"

/* The groups of a configuration file, and the struct that each fills. */
enum option_scope {
	OPTION_IN_TOP,		   /* struct conf */
	OPTION_IN_LISTEN,	   /* struct option_listen */
	OPTION_IN_LIMITS,	   /* struct conf */
	OPTION_IN_TIMEOUTS,	   /* struct conf */
	OPTION_IN_LOG,		   /* struct conf */
	OPTION_IN_METRICS,	   /* struct conf_metrics */
	OPTION_IN_CONTROL,	   /* struct conf_control */
	OPTION_IN_FIREWALL,	   /* struct conf_firewall */
	OPTION_IN_POLICY,	   /* struct policy */
	OPTION_IN_LEG,		   /* struct sock_options */
	OPTION_IN_POLICY_TIMEOUTS, /* struct policy */
	OPTION_SCOPES,
};

/* One element of `listen`, while it is read and printed. */
struct option_listen {
	struct addr address;
	int64_t port;
};

/* What a value is, and what type the field has that it goes to. */
enum option_type {
	OPTION_BOOL,	   /* bool */
	OPTION_INT,	   /* int64_t */
	OPTION_DURATION,   /* int64_t, ms */
	OPTION_SIZE,	   /* int64_t, bytes */
	OPTION_RATE,	   /* int64_t, bits a second */
	OPTION_WORD,	   /* int64_t, one of the row's words */
	OPTION_USER,	   /* char * */
	OPTION_SOCKET,	   /* char *, the path of a UNIX socket */
	OPTION_MODE,	   /* int64_t, permissions as of chmod(1) */
	OPTION_NAME,	   /* const char * that lives for ever */
	OPTION_CONGESTION, /* char[SOCK_CONGESTION_MAX] */
	OPTION_ALGORITHMS, /* const char ** that live for ever, with a count */
	OPTION_INTERFACE,  /* char[SOCK_INTERFACE_MAX] */
	OPTION_INTERFACES, /* struct conf_interface *, with a count */
	OPTION_ADDRESS,	   /* struct addr */
	OPTION_ENDPOINT,   /* char *, "": none */
	OPTION_PREFIXES,   /* struct prefix *, with a count */
	OPTION_PORTS,	   /* struct conf_ports *, with a count */
	OPTION_SOURCE,	   /* struct conf_source */
	OPTION_GROUP,	   /* the fields of the scope `inner` */
	OPTION_LISTENS,	   /* struct addr *, with a count */
	OPTION_POLICIES,   /* struct policy *, with a count */
	OPTION_TYPES,
};

enum option_flag {
	OPTION_OR_ZERO = 1, /* 0 is good too, though below min */
	OPTION_HEX = 2,	    /* printed that way */
	OPTION_RESTART = 4, /* a reload leaves it as it is */
};

struct option_word {
	const char *name; /* NULL ends the list */
	int64_t value;
};

struct option_row {
	enum option_scope scope;
	enum option_type type;
	const char *name;
	size_t offset, count; /* of the field in the scope's struct */
	const char *initial;  /* in the file's syntax; NULL: required */
	int64_t min, max;
	unsigned flags;
	enum option_scope inner;
	const struct option_word *words;
	const char *help; /* one line */
};

/* The rows of the table, in the order in which they are printed. */
extern const struct option_row option_rows[];
extern const size_t option_count;

/* NULL when SCOPE has no option NAME. */
const struct option_row *option_find(enum option_scope scope, const char *name);

/* An option of that name which belongs elsewhere, or NULL. */
const struct option_row *option_find_elsewhere(const char *name);

/* What NAME was probably meant to be: in SCOPE, else anywhere, or NULL. */
const struct option_row *option_nearest(
    enum option_scope scope, const char *name);

/* Where SCOPE's options stand in a file, in words for a message. */
const char *option_place(enum option_scope scope);

/* "a whole number", "a duration such as "10s"". */
const char *option_type_text(enum option_type type);

/* True when a value of the type stands in quotes. */
bool option_is_quoted(enum option_type type);

/* The units of a number's type, or NULL. */
const struct value_unit *option_units(enum option_type type);

/* What the row allows, in words: "1 to 65535", "0, or 4K to 64M". */
#define OPTION_RANGE_MAX 96
const char *option_range(
    const struct option_row *row, char text[OPTION_RANGE_MAX]);
bool option_in_range(const struct option_row *row, int64_t value);

/* SCOPE's defaults as a piece of a configuration file. */
void option_write_defaults(FILE *out, enum option_scope scope);

#endif
