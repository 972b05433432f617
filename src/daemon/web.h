/*
 * web: what the daemon shows by HTTP, metrics and status page: where it
 * listens and which pages there are. A reload prepares a new place and
 * then takes it or leaves it. Main's thread.
 */
#ifndef UNATATP_DAEMON_WEB_H
#define UNATATP_DAEMON_WEB_H

#include <stdbool.h>

#include "conf/conf.h"

struct daemon;
struct web;

/* NULL with errno. Nothing listens until web_commit. */
struct web *web_new(struct daemon *d);

/* Hangs up. NULL is allowed. */
void web_free(struct web *web);

/*
 * Opens the place that CONF names, unless it is open already. False: it
 * cannot be had, which was logged. True: web_commit or web_abort follows.
 */
bool web_prepare(struct web *web, const struct conf *conf);
void web_commit(struct web *web); /* the old place is closed */
void web_abort(struct web *web);  /* the old place stays */

#endif
