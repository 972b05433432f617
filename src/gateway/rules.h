/*
 * rules: the packet filter's rules as texts, in the forms that nft -f and
 * iptables-save have. Only inside src/gateway.
 */
#ifndef UNATATP_GATEWAY_RULES_H
#define UNATATP_GATEWAY_RULES_H

#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"

/*
 * The conntrack zone of the server legs that bear a client's address: never
 * 0, which everybody's connections are in.
 */
#define RULES_ZONE(conf) \
	((unsigned)(((conf)->firewall.table - 1) % UINT16_MAX + 1))

/* On a rule that leads to ours, when iptables made something for it. */
#define RULES_COMMENTED "-m comment --comment \""
#define RULES_MADE "unatatp made this "
#define RULES_MADE_CHAIN RULES_MADE "chain"
#define RULES_MADE_TABLE RULES_MADE "table"

/* The whole of table inet unatatp. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int rules_nft(
    const struct conf *conf, FILE *out);

/* The comment for the rule that leads to ours from CHAIN; "": none. */
typedef const char *rules_comment(
    void *arg, const char *table, const char *chain);

/*
 * One family's chains. 0, -ENOMEM, or -E2BIG when a policy's lists
 * multiply to too many rules, which was said on standard error.
 */
__attribute__((warn_unused_result)) int rules_iptables(const struct conf *conf,
    sa_family_t family, rules_comment *comment, void *arg, FILE *out);

#endif
