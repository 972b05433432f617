/*
 * recent: what iptables' rules remember of a daemon that did not answer
 * (see rules_iptables.c). Needs root; any thread.
 */
#ifndef UNATATP_GATEWAY_RECENT_H
#define UNATATP_GATEWAY_RECENT_H

#define RECENT_IPV4 "UNATATP4"
#define RECENT_IPV6 "UNATATP6"

/* Somebody listens now: forget that nobody did. Without rules, nothing. */
void recent_forget(void);

#endif
