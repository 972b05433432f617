/*
 * needs: which capabilities a configuration takes once the listeners stand;
 * all others are given up. Belongs to main.
 */
#ifndef UNATATP_DAEMON_NEEDS_H
#define UNATATP_DAEMON_NEEDS_H

#include <stdint.h>

#include "conf/conf.h"

/* A set, as in base/privs.h. */
uint64_t needs_find(const struct conf *conf);

/*
 * Whether CONF does without what was given up at the start; else WHY says
 * which option does not.
 */
#define NEEDS_WHY_MAX 512
__attribute__((warn_unused_result)) bool needs_met(
    const struct conf *conf, char why[NEEDS_WHY_MAX]);

#endif
