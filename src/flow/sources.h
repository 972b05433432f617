/*
 * sources: how many flows each client has open, over all workers. A client
 * is an IPv4 address or a /64 of IPv6, and has an entry only while it has a
 * flow. One lock, taken when a flow begins and when it ends, never where
 * bytes move; any thread. Main owns the table and frees it last.
 */
#ifndef UNATATP_FLOW_SOURCES_H
#define UNATATP_FLOW_SOURCES_H

#include <stdint.h>

#include "base/addr.h"

struct source;
struct sources;

/* NULL with errno. */
struct sources *sources_new(void);
void sources_free(struct sources *all); /* NULL is allowed */

/*
 * A flow of client A begins: *ENTRY is to be given to sources_leave at its
 * end. 0, -ENOMEM, or -EDQUOT: A has MOST flows already (0: no limit).
 */
__attribute__((warn_unused_result)) int sources_enter(struct sources *all,
    const struct addr *a, int64_t most, struct source **entry);
void sources_leave(struct sources *all, struct source *entry);

#endif
