/*
 * state: what of unatatp's firewall is in the kernel, or should be: rules,
 * routes and the packet filter's texts. Ours is known by the kernel itself:
 * a protocol number, a table's name, the names of chains. Values; whoever
 * fills one clears it. Only inside src/gateway and src/doctor; blocks.
 */
#ifndef UNATATP_GATEWAY_STATE_H
#define UNATATP_GATEWAY_STATE_H

#include "conf/conf.h"
#include "gateway/plan.h"

/* Who made a rule or a route, as `protocol' of ip-rule(8) has it. */
#define STATE_PROTOCOL "117"
#define STATE_FAMILIES 2

enum state_backend { STATE_AUTO, STATE_NFT, STATE_IPTABLES };

struct state_lines {
	char **at;
	size_t n;
};

struct state { /* [0] is IPv4, [1] IPv6 */
	/* "fwmark 0x100/0xf00 iif wg0 lookup 100"; what was read, and what
	   needs its place, has "pref N " before that. */
	struct state_lines rules[STATE_FAMILIES];
	/* "local default dev lo table 100" */
	struct state_lines routes[STATE_FAMILIES];
	char *nft;			/* the table's listing; NULL: none */
	char *iptables[STATE_FAMILIES]; /* as iptables-save; NULL: none */
	/* Of theirs: why iptables-save does not show all; NULL: it does. */
	char *unreadable[STATE_FAMILIES];
};

/* How the families' programs are called. */
struct state_family {
	sa_family_t family;
	const char *ip, *save, *restore; /* "ip", "iptables-save" ... */
	const char *nft;		 /* nft's word: "ip" */
};
extern const struct state_family state_families[STATE_FAMILIES];

/*
 * Reads what is OURS, and THEIRS: other rules, the other routes of TABLE
 * (0: none), and what else iptables-save prints. 0, or -errno with *SAID
 * as of plan_run.
 */
__attribute__((warn_unused_result)) int state_read(
    struct state *ours, struct state *theirs, unsigned table, char **said);

/* The part of state_read that is about the packet filter. */
__attribute__((warn_unused_result)) int state_read_filter(
    struct state *ours, struct state *theirs, char **said);

/* True when the kernel has the family, and when it is not turned off. */
bool state_has_family(size_t f);
bool state_serves_family(size_t f);

/*
 * What CONF asks for, of the families that the kernel serves; NOW is what
 * is ours already. 0, or -errno (-E2BIG: too many rules for iptables,
 * which was said).
 */
__attribute__((warn_unused_result)) int state_want(struct state *want,
    const struct conf *conf, enum state_backend backend,
    const struct state *now);

/* True when LINES, as read, have LINE, in its place if it names one. */
bool state_has(const struct state_lines *lines, const char *line);

/* True when LINE, as read, is one of WANT. */
bool state_is_wanted(const char *line, const struct state_lines *want);

/* True when RULE, as read, has the place of one of WANT and is not it. */
bool state_takes_place(const char *rule, const struct state_lines *want);

/* nft where nft(8) is there, else iptables. */
enum state_backend state_choose_backend(void);

/* What leads FROM one state, which is the kernel's, TO another one. */
void state_change(struct plan *plan, const struct state *from,
    const struct state *to, const struct state *theirs);

/*
 * How the kernel would list the packet filter of WANT: it is loaded into a
 * network namespace made for that. GOT has only these texts. As state_read.
 */
__attribute__((warn_unused_result)) int state_rehearse(
    const struct state *want, struct state *got, char **said);

void state_clear(struct state *state);

/* Adds a copy of LINE, LEN bytes of it. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int state_add(
    struct state_lines *lines, const char *line, size_t len);

#endif
