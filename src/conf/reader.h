/*
 * reader: what the files of the reading share: where values go, where
 * findings go, and what stands in which line. Only inside src/conf.
 */
#ifndef UNATATP_CONF_READER_H
#define UNATATP_CONF_READER_H

#include <libconfig.h>

#include "conf/conf.h"
#include "conf/conf_text.h"
#include "conf/option.h"
#include "conf/report.h"

struct reader {
	struct conf *conf;
	struct conf_report *report;
	const struct conf_text *text;
	const config_setting_t *root;
	struct option_listen listen; /* the defaults of one element */
	char algorithms[512];	     /* what the kernel has; "": unknown */
};

/* All memory is zeroed and goes with CONF. NULL with errno. */
void *conf_alloc(struct conf *conf, size_t n, size_t size);
struct conf *conf_new(void);

/* TEXT for the life of the process; NULL with errno. */
const char *conf_intern(const char *text);

/* conf_alloc; lack of memory is reported as a mistake. */
void *reader_alloc(struct reader *r, size_t n, size_t size);

struct report_place reader_place(
    const struct reader *r, const config_setting_t *at);

__attribute__((format(printf, 3, 4))) void reader_error(
    struct reader *r, const config_setting_t *at, const char *format, ...);
__attribute__((format(printf, 3, 4))) void reader_warning(
    struct reader *r, struct report_place at, const char *format, ...);

/* "NAME" must be such and such. */
void reader_wrong_type(
    struct reader *r, const struct option_row *row, const config_setting_t *at);

/* 1 to 64 of A-Z a-z 0-9 _ . - */
bool reader_is_name(const char *text);

/* The text of AT, or NULL when it is no string. */
const char *reader_string(const config_setting_t *at);

/* Reads the options of GROUP into BASE, the scope's struct. */
void reader_scope(struct reader *r, enum option_scope scope,
    const config_setting_t *group, void *base);

/*
 * One for each option_type: reads S into the field of ROW in BASE. What is
 * wrong is reported, and leaves the field as it was.
 */
typedef void reader_value(struct reader *r, const struct option_row *row,
    const config_setting_t *s, void *base);

reader_value reader_bool, reader_int, reader_united, reader_word, reader_user,
    reader_socket, reader_mode, reader_name, reader_congestion,
    reader_interface;
reader_value reader_interfaces, reader_address, reader_prefixes, reader_ports,
    reader_source, reader_endpoint, reader_algorithms;
reader_value reader_group, reader_listens, reader_policies;

/* The field of ROW in BASE, and the count beside it. */
static inline void *
reader_field(const struct option_row *row, void *base)
{
	return (char *)base + row->offset;
}

static inline size_t *
reader_count(const struct option_row *row, void *base)
{
	return (size_t *)(void *)((char *)base + row->count);
}

/* TEXT, found at AT, as an algorithm, a prefix and so on. False: reported. */
bool reader_take_algorithm(struct reader *r, struct report_place at,
    const char *text, char field[SOCK_CONGESTION_MAX]);
bool reader_take_prefix(struct reader *r, struct report_place at,
    const char *text, struct prefix *p);
bool reader_take_interface(struct reader *r, struct report_place at,
    const char *text, char field[SOCK_INTERFACE_MAX]);
bool reader_take_source(struct reader *r, struct report_place at,
    const char *text, struct conf_source *source);

/* What no option shows alone: doubles, the user, reachability. */
void conf_check_names(struct reader *r);
void conf_check_user(struct reader *r);
void conf_check_reach(struct reader *r);
void conf_check_windows(struct reader *r);
void conf_check_firewall(struct reader *r);
void conf_check_control(struct reader *r);
void conf_check_auto(struct reader *r);

#endif
