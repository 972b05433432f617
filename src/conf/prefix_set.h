/*
 * prefix_set: many prefixes, each with a number; finds those that contain
 * an address in about log2(n) steps. Never changes once made, so that any
 * thread may search it. The maker frees it.
 */
#ifndef UNATATP_CONF_PREFIX_SET_H
#define UNATATP_CONF_PREFIX_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct prefix_set;

struct prefix_tag {
	struct prefix prefix;
	uint32_t tag;
};

/* A prefix may occur many times. NULL with errno when memory is short. */
struct prefix_set *prefix_set_new(const struct prefix_tag *items, size_t n);
void prefix_set_free(struct prefix_set *set); /* NULL is allowed */

/* Called with a tag; true stops the search. */
typedef bool prefix_visit(void *arg, uint32_t tag);

/*
 * Shows VISIT the tag of each prefix that contains A, narrow ones first.
 * True when VISIT stopped it.
 */
bool prefix_set_visit(const struct prefix_set *set, const struct addr *a,
    prefix_visit *visit, void *arg);

bool prefix_set_contains(const struct prefix_set *set, const struct addr *a);

/*
 * True when the prefixes whose tags ACCEPT takes (NULL: all of them)
 * leave no address of P out, be it that several share P between them.
 */
bool prefix_set_covers(const struct prefix_set *set, const struct prefix *p,
    prefix_visit *accept, void *arg);

#endif
