/*
 * facts: what the checks of doctor look at, each read when first asked for
 * and then kept. Everything belongs to the arena or dies in facts_clear.
 * Families are 4 and 6. Only inside src/doctor.
 */
#ifndef UNATATP_DOCTOR_FACTS_H
#define UNATATP_DOCTOR_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "doctor/arena.h"
#include "doctor/doctor.h"
#include "doctor/ruleset.h"

/* Who listens where. */
struct facts_listener {
	struct addr addr;
	unsigned long inode;
	pid_t pid; /* 0: not found */
	const char *name;
};

struct facts_json {
	json_t *json; /* NULL: not read */
	const char *why;
};

struct facts {
	struct arena *arena;
	const struct conf *conf;
	const char *path;
	const struct doctor_wish *link;
	uint32_t mark, mask;
	long table;
	const char **interfaces; /* of the clients; "": nobody says which */
	size_t n_interfaces;
	bool have_ruleset, have_listeners;
	struct ruleset ruleset;
	struct facts_json rules[2], routes[2], links;
	struct facts_json daemon;
	struct facts_json *others; /* further tables */
	size_t n_others;
	struct facts_listener *listeners;
	size_t n_listeners;
};

void facts_init(struct facts *f, struct arena *arena, const struct conf *conf,
    const char *path, const struct doctor_wish *link);
void facts_clear(struct facts *f);

/* The text of a file of /proc/sys/net, NULL when it is not there. */
__attribute__((format(printf, 2, 3))) const char *facts_sysctl(
    struct facts *f, const char *format, ...);

/* Its first number, or -1. */
__attribute__((format(printf, 2, 3))) long facts_number(
    struct facts *f, const char *format, ...);

const struct ruleset *facts_ruleset(struct facts *f);

/* NULL when ip(8) did not tell; then *WHY says so. */
json_t *facts_rules(struct facts *f, int family, const char **why);
json_t *facts_routes(struct facts *f, int family, const char **why);
json_t *facts_links(struct facts *f, const char **why);

/* Whether `unatatp firewall up` made what is there of rules and routes. */
bool facts_is_commanded(struct facts *f);

/* The routes of another table; NULL when there is none. */
json_t *facts_table(struct facts *f, int family, const char *table);

/* The device that packets to A leave by, or NULL. */
const char *facts_way_to(struct facts *f, const struct addr *a);

/* The link NAME, or NULL. */
json_t *facts_link(struct facts *f, const char *name);

/* The socket that listens on A, or on its port for all; NULL: none. */
const struct facts_listener *facts_listener(
    struct facts *f, const struct addr *a);

/* What the running daemon says of itself; NULL and *WHY: nothing. */
json_t *facts_daemon(struct facts *f, const char **why);

/* False when the kernel has none, or it is turned off. */
bool facts_has_ipv6(void);

bool facts_listens(const struct facts *f, int family);
bool facts_is_client_side(const struct facts *f, const char *name);

/* A JSON object's text or number; "" and -1 when it has none. */
const char *facts_text(json_t *object, const char *key);
long facts_int(json_t *object, const char *key);

#endif
