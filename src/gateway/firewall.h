/*
 * firewall: the rules and routes that hand clients' connections to the
 * daemon: shown, made, taken away, looked at. What goes wrong is said on
 * standard error. For subcommands: blocks, and runs other programs.
 */
#ifndef UNATATP_GATEWAY_FIREWALL_H
#define UNATATP_GATEWAY_FIREWALL_H

#include "conf/conf.h"
#include "gateway/state.h"

/* Each returns 0, or -1 when it failed or, of status, all is not well. */

/* What firewall_up would do, as shell on standard output. */
int firewall_show(const struct conf *conf, enum state_backend backend);

/*
 * All of it, or nothing. With CONFIRM, in seconds, it is taken back after
 * that time to what it was, or what it was before the first of several
 * that nobody confirmed.
 */
int firewall_up(
    const struct conf *conf, enum state_backend backend, unsigned confirm);

int firewall_confirm(void);
int firewall_down(void);
int firewall_status(const struct conf *conf);

#endif
