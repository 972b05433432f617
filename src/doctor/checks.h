/*
 * checks: what a row of doctor's table calls, and what it says its findings
 * with. Only inside src/doctor.
 */
#ifndef UNATATP_DOCTOR_CHECKS_H
#define UNATATP_DOCTOR_CHECKS_H

#include "doctor/doctor.h"
#include "doctor/facts.h"

struct check {
	struct facts *facts;
	int family; /* 4, 6, or 0: not of one family */
	struct doctor_result *result;
	void *arg; /* of a check's own, for what it calls */
};

/* Adds a finding; the verdict becomes the worse of the two. */
__attribute__((format(printf, 3, 4))) void check_say(
    struct check *c, enum doctor_verdict verdict, const char *format, ...);

/* Adds a command, once. */
__attribute__((format(printf, 2, 3))) void check_mend(
    struct check *c, const char *format, ...);

__attribute__((format(printf, 2, 3))) void check_looked(
    struct check *c, const char *format, ...);

/* "ip" or "ip -6". */
const char *check_ip(const struct check *c);

/* TEXT within single quotes, for sh(1). */
const char *check_quote(struct check *c, const char *text);

/* The file's name, for a person. */
const char *check_file(const struct check *c);

/* How the rule or policy of E is called. */
const char *check_name(struct check *c, const struct walk_event *e);

/* Whose packets the server legs are: the uid of the file's `user`. */
uid_t check_uid(const struct check *c);

/* Commands for a rule, or for the policy of a chain. */
void mend_delete(struct check *c, const struct rule *rule);
void mend_drop(struct check *c, const struct walk_event *e);

/* A rule at the head of CHAIN; VERDICT is nft's word. */
void mend_insert(struct check *c, const struct chain *chain, const char *nft,
    const char *iptables, const char *verdict);

/* Lets what bears the mark through CHAIN. */
void mend_accept_mark(struct check *c, const struct chain *chain);

/* Sends what E's tproxy rule takes to a listener; gives it the mark. */
void mend_target(struct check *c, const struct walk_event *e);
void mend_mark(struct check *c, const struct walk_event *e);

/*
 * `unatatp firewall up`, which makes all rules anew. mend_ours: where that
 * command made the rules (those of CHAIN, unless it is NULL); else false.
 */
void mend_firewall(struct check *c);
bool mend_ours(struct check *c, const struct chain *chain);

/* -c and the file, where there is one. */
const char *mend_option(struct check *c);

void check_kernel_tproxy(struct check *c);
void check_kernel_socket(struct check *c);
void check_interfaces(struct check *c);
void check_interface_up(struct check *c);
void check_listener(struct check *c);
void check_listener_owner(struct check *c);
void check_loaded(struct check *c);
void check_source_allowed(struct check *c);
void check_descriptors(struct check *c);
void check_congestion(struct check *c);
void check_congestion_allowed(struct check *c);

void check_capture(struct check *c);
void check_capture_target(struct check *c);
void check_capture_mark(struct check *c);
void check_established(struct check *c);
void check_syn_cookies(struct check *c);
void check_own_address(struct check *c);
void check_prerouting(struct check *c);

void check_notrack(struct check *c);
void check_redirect(struct check *c);
void check_input(struct check *c);
void check_output(struct check *c);
void check_forward(struct check *c);
void check_masquerade(struct check *c);
void check_return(struct check *c);
void check_mark_clash(struct check *c);
void check_conntrack_mark(struct check *c);

void check_probe(struct check *c);

void check_rule(struct check *c);
void check_rule_order(struct check *c);
void check_rule_iif(struct check *c);
void check_rule_clash(struct check *c);
void check_return_rule(struct check *c);
void check_src_valid_mark(struct check *c);
void check_route(struct check *c);
void check_route_other(struct check *c);

void check_rp_filter(struct check *c);
void check_fwmark_accept(struct check *c);
void check_forwarding(struct check *c);
void check_bridge(struct check *c);
void check_ports(struct check *c);
void check_reserved_port(struct check *c);
void check_conntrack(struct check *c);
void check_rmem(struct check *c);
void check_wmem(struct check *c);
void check_link_options(struct check *c);
void check_initial_window(struct check *c);

struct walk check_walk(
    struct check *c, struct packet packet, enum ruleset_hook hook, bool nat);

/* The first statement of KIND that a packet meets or may meet, or NULL. */
const struct walk_event *check_seen(
    const struct walk *walk, enum step_kind kind);

/* True when a rule may let it through BASE, which drops it; that was said. */
bool check_may_pass(
    struct check *c, const struct walk *walk, const struct chain *base);

/* A server leg's first packet. */
struct packet check_dialled(const struct check *c, const char *oif);

/* For each link that leads away from the clients. */
void check_each_way_out(struct check *c, const char *interface,
    void (*fn)(struct check *c, const char *interface, const char *oif));

/* For walks: a client's first packet, and where a listener got it. */
struct packet check_syn(const struct check *c, const char *interface);
const struct walk_event *check_captured(const struct walk *walk);

/* False when a verdict would be a guess; that was said. */
bool check_certain(struct check *c, const struct walk *walk);

void check_each_interface(
    struct check *c, void (*fn)(struct check *c, const char *interface));

/* "any interface" for "". */
const char *check_interface(const char *interface);

#endif
