/*
 * ruleset: the packet filter's rules, nft's and iptables' alike, as steps
 * that a packet can be walked through. What is not understood is OPAQUE:
 * it may match or not. Owned by the arena that it was read into.
 */
#ifndef UNATATP_DOCTOR_RULESET_H
#define UNATATP_DOCTOR_RULESET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "doctor/arena.h"

enum step_kind {
	/* Conditions. */
	STEP_IIF, /* names */
	STEP_OIF,
	STEP_MARK, /* value within mask */
	STEP_CT_MARK,
	STEP_ZONE,    /* value */
	STEP_FAMILY,  /* value: 4 or 6 */
	STEP_TCP,     /* value: whether TCP is among them */
	STEP_SYN,     /* a SYN alone */
	STEP_SOCKET,  /* a transparent socket has it */
	STEP_TO_US,   /* the destination is the gateway's */
	STEP_FROM_US, /* the source is the gateway's */
	STEP_STATE,   /* value: enum ruleset_state, or'ed */
	STEP_OWNER,   /* value: the uid of the process that sent it */
	STEP_PORT,    /* the destination port: ranges */
	STEP_ADDRESS, /* of some addresses */
	STEP_LIMIT,   /* within a rate: taken for granted */
	STEP_OPAQUE,
	/* Statements. */
	STEP_ACCEPT,
	STEP_DROP,
	STEP_RETURN,
	STEP_JUMP, /* text: the chain */
	STEP_GOTO,
	STEP_TPROXY,   /* addr; value and mask: its mark */
	STEP_SET_MARK, /* mark = mark & ~mask ^ value */
	STEP_SET_CT_MARK,
	STEP_SET_ZONE,
	STEP_NOTRACK,
	STEP_SNAT,
	STEP_KEEP, /* snat to what it is: no other snat follows */
	STEP_DNAT,
	STEP_NOTHING,
	STEP_UNKNOWN, /* a statement that may do anything */
};

enum ruleset_state {
	RULESET_NEW = 1,
	RULESET_ESTABLISHED = 2,
};

enum ruleset_hook {
	RULESET_PREROUTING,
	RULESET_INPUT,
	RULESET_FORWARD,
	RULESET_OUTPUT,
	RULESET_POSTROUTING,
	RULESET_NO_HOOK,
};

struct range {
	uint16_t first, last;
};

struct step {
	enum step_kind kind;
	bool negated;
	uint32_t value, mask;
	const char *text;
	const char **names;
	size_t n_names;
	struct range *ranges;
	size_t n_ranges;
	struct addr addr; /* STEP_TPROXY; its family may be AF_UNSPEC */
	/* A verdict map: the first of these pairs whose condition holds. */
	struct step *branches;
	size_t n_branches;
};

struct chain;

struct rule {
	const struct chain *chain;
	struct step *steps;
	size_t n_steps;
	const char *text; /* what names it to its tool */
	long handle;	  /* nft's, or its place in the chain, from 1 */
	json_t *json;	  /* nft's own form, borrowed; NULL for iptables */
	bool visited;	  /* a walk has come through */
};

struct chain {
	int family;	  /* 4, 6, or 0 for both */
	const char *tool; /* "nft", "iptables", "ip6tables", and -legacy */
	const char *nft_family, *table, *name;
	enum ruleset_hook hook;
	long priority;
	const char *type; /* "nat" or another; NULL: no base chain */
	bool policy_drop;
	bool reached; /* from a hook: else its rules are dead */
	struct rule **rules;
	size_t n_rules;
};

struct ruleset {
	struct arena *arena;
	struct chain **chains;
	size_t n_chains;
	json_t *json;	     /* nft's listing; NULL: none */
	const char *unknown; /* why rules could not be read; NULL: all were */
};

/* Reads what nft and iptables list; ruleset_clear what is not ARENA's. */
void ruleset_read(struct ruleset *set, struct arena *arena);
void ruleset_clear(struct ruleset *set);

/* A packet on its way, and what became of it. */
struct packet {
	int family;	 /* 4 or 6 */
	const char *iif; /* NULL: none, "": any */
	const char *oif;
	uint32_t mark, ct_mark, zone;
	bool syn, socket, to_us, from_us;
	bool owned; /* a process with UID sent it */
	uid_t uid;
	unsigned state;
	uint16_t port;		   /* a port that stands for all */
	const struct rule *tproxy; /* the rule that took it */
	const struct step *to;	   /* its step */
	const struct rule *marker; /* the rule that set the mark last */
};

/* Why a condition may hold, or'ed. */
enum walk_maybe {
	WALK_PORT = 1,
	WALK_ADDRESS = 2,
	WALK_OPAQUE = 4,
	WALK_INTERFACE = 8,
};

enum walk_what {
	WALK_ACCEPTED,
	WALK_DROPPED,
	WALK_SEEN, /* a statement that a caller may look for */
	WALK_LEFT, /* it may pass by what follows; how is not known */
};

struct walk_event {
	enum walk_what what;
	unsigned maybe; /* 0: for certain */
	const struct chain *base;
	const struct rule *rule; /* NULL: the chain's policy */
	const struct step *step;
	struct packet packet;
};

struct walk {
	struct arena *arena;
	struct walk_event *events;
	size_t n_events;
	unsigned maybe; /* whatever was met */
	size_t steps;	/* taken, bounded */
	bool cut;	/* there were too many: no verdict */
};

/*
 * Walks PACKET through the base chains of HOOK in the kernel's order: those
 * of NAT, or all others. A zeroed WALK gets the events.
 */
void ruleset_walk(const struct ruleset *set, struct packet packet,
    enum ruleset_hook hook, bool nat, struct walk *walk);

/* What a packet meets at last when no MAYBE holds, or NULL. */
const struct walk_event *walk_last(const struct walk *walk);

/* Only inside ruleset*.c. */
struct ruleset_nft {
	struct ruleset *set;
	json_t *list;
	struct chain *chain;
	struct rule *rule;
};

struct chain *ruleset_chain(struct ruleset *set);
struct chain *ruleset_find(
    const struct ruleset *set, const struct chain *near, const char *name);
struct rule *ruleset_rule(struct ruleset *set, struct chain *chain);
struct step *ruleset_step(
    struct ruleset *set, struct rule *rule, enum step_kind kind);
void ruleset_read_nft(struct ruleset *set, const char *skip_tables);
/* The elements of a named "set" or "map", or NULL. */
json_t *ruleset_nft_elements(
    struct ruleset_nft *r, const char *kind, const char *name);
void ruleset_nft_match(struct ruleset_nft *r, json_t *json);
void ruleset_nft_require(struct ruleset_nft *r, const char *protocol);
struct step ruleset_nft_condition(
    struct ruleset_nft *r, json_t *left, json_t *right, bool negated);
/* Sets the hook, type and priority of C, a chain of iptables' own. */
void ruleset_place_iptables(struct chain *c);

const char *ruleset_read_iptables(
    struct ruleset *set, const char *tool, int family);

#endif
