/* A packet's way through the rules. */
#include <string.h>

#include "doctor/ruleset.h"

#define DEEPEST 16 /* jumps */
#define MOST_STEPS 200000
#define MOST_EVENTS 1024

enum answer { NO, YES, MAYBE };

struct holds {
	enum answer answer;
	unsigned why; /* of MAYBE */
};

static bool
name_matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n && (pattern[n - 1] == '+' || pattern[n - 1] == '*'))
		return !strncmp(pattern, name, n - 1);
	return !strcmp(pattern, name);
}

static struct holds
interface_holds(const struct step *s, const char *name)
{
	if (!name)
		return (struct holds){ NO, 0 };
	if (!*name)
		return (struct holds){ MAYBE, WALK_INTERFACE };
	for (size_t i = 0; i < s->n_names; i++)
		if (name_matches(s->names[i], name))
			return (struct holds){ YES, 0 };
	return (struct holds){ NO, 0 };
}

/* A port stands for all: where others may do otherwise, it is a MAYBE. */
static struct holds
port_holds(const struct step *s, const struct packet *p)
{
	for (size_t i = 0; i < s->n_ranges; i++)
		if (p->port >= s->ranges[i].first &&
		    p->port <= s->ranges[i].last)
			return (struct holds){ YES, 0 };
	return (struct holds){ s->negated ? NO : MAYBE, WALK_PORT };
}

static bool
plain_holds(const struct step *s, const struct packet *p)
{
	switch (s->kind) {
	case STEP_MARK:
		return (p->mark & s->mask) == s->value;
	case STEP_CT_MARK:
		return (p->ct_mark & s->mask) == s->value;
	case STEP_ZONE:
		return p->zone == s->value;
	case STEP_FAMILY:
		return p->family == (int)s->value;
	case STEP_TCP:
		return s->value;
	case STEP_SYN:
		return p->syn;
	case STEP_SOCKET:
		return p->socket;
	case STEP_TO_US:
		return p->to_us;
	case STEP_FROM_US:
		return p->from_us;
	case STEP_STATE:
		return p->state & s->value;
	case STEP_LIMIT:
		return true;
	case STEP_OWNER:
		return p->owned && p->uid == s->value;
	default:
		return false;
	}
}

static struct holds
holds(const struct step *s, const struct packet *p)
{
	struct holds h = { NO, 0 };

	switch (s->kind) {
	case STEP_IIF:
		h = interface_holds(s, p->iif);
		break;
	case STEP_OIF:
		h = interface_holds(s, p->oif);
		break;
	case STEP_PORT:
		h = port_holds(s, p);
		break;
	case STEP_ADDRESS:
		return (struct holds){ MAYBE, WALK_ADDRESS };
	case STEP_OPAQUE:
		return (struct holds){ MAYBE, WALK_OPAQUE };
	default:
		h.answer = plain_holds(s, p) ? YES : NO;
	}
	if (s->negated && h.answer != MAYBE)
		h.answer = h.answer == YES ? NO : YES;
	return h;
}

/* --- the way ------------------------------------------------------- */

struct way {
	const struct ruleset *set;
	const struct chain *base;
	struct walk *walk;
	struct packet packet;
	unsigned maybe;
	int depth;
};

/* What a chain or rule does to the packet's further way. */
enum next { GO_ON, END_OF_CHAIN, END };

static enum next through(struct way *way, const struct chain *chain);
static enum next take(struct way *way, struct rule *rule, size_t i);

static void
tell(struct way *way, enum walk_what what, const struct rule *rule,
    const struct step *step)
{
	struct walk *w = way->walk;

	/* Of many that may drop, the first ones say enough. */
	if (way->maybe && w->n_events >= MOST_EVENTS) {
		w->cut |= what != WALK_DROPPED;
		return;
	}
	w->events =
	    arena_grow(w->arena, w->events, w->n_events, sizeof(*w->events));
	w->events[w->n_events++] = (struct walk_event){ what, way->maybe,
		way->base, rule, step, way->packet };
}

/* What follows is not certain any more. */
static void
leave(struct way *way, const struct rule *rule, unsigned why)
{
	struct way other = *way;

	way->walk->maybe |= why;
	other.maybe |= why;
	tell(&other, WALK_LEFT, rule, NULL);
}

static enum next
jump(struct way *way, const struct rule *rule, const struct step *s)
{
	const struct chain *chain =
	    ruleset_find(way->set, rule->chain, s->text);
	enum next next;

	if (!chain || way->depth >= DEEPEST) {
		leave(way, rule, WALK_OPAQUE);
		return GO_ON;
	}
	way->depth++;
	next = through(way, chain);
	way->depth--;
	if (next == END)
		return END;
	return s->kind == STEP_GOTO ? END_OF_CHAIN : GO_ON;
}

static void
change(struct way *way, const struct rule *rule, const struct step *s)
{
	struct packet *p = &way->packet;

	switch (s->kind) {
	case STEP_TPROXY:
		p->tproxy = rule;
		p->to = s;
		p->mark = (p->mark & ~s->mask) ^ s->value;
		if (s->mask)
			p->marker = rule;
		break;
	case STEP_SET_MARK:
		p->mark = (p->mark & ~s->mask) ^ s->value;
		p->marker = rule;
		break;
	case STEP_SET_CT_MARK:
		p->ct_mark = (p->ct_mark & ~s->mask) ^ s->value;
		break;
	case STEP_SET_ZONE:
		p->zone = s->value;
		break;
	default:
		break;
	}
	tell(way, WALK_SEEN, rule, s);
}

/* A statement; conditions have been asked. */
static enum next
act(struct way *way, const struct rule *rule, const struct step *s)
{
	switch (s->kind) {
	case STEP_ACCEPT:
		tell(way, WALK_ACCEPTED, rule, s);
		return END;
	case STEP_DROP:
		tell(way, WALK_DROPPED, rule, s);
		return END;
	case STEP_RETURN:
		return END_OF_CHAIN;
	case STEP_JUMP:
	case STEP_GOTO:
		return jump(way, rule, s);
	case STEP_NOTHING:
		return GO_ON;
	case STEP_UNKNOWN:
		leave(way, rule, WALK_OPAQUE);
		return GO_ON;
	case STEP_SNAT:
	case STEP_KEEP:
	case STEP_DNAT:
		tell(way, WALK_SEEN, rule, s);
		return END;
	default:
		change(way, rule, s);
	}
	/* iptables' TPROXY is a verdict, nft's is not. */
	if (s->kind != STEP_TPROXY || rule->json)
		return GO_ON;
	tell(way, WALK_ACCEPTED, rule, s);
	return END;
}

/* The rule from step I on, as it may be; the packet itself passes it by. */
static void
take_perhaps(struct way *way, struct rule *rule, size_t i, unsigned why)
{
	struct way other = *way;
	enum next next;

	other.maybe |= why;
	way->walk->maybe |= why;
	next = take(&other, rule, i);
	if (next == GO_ON && other.packet.tproxy)
		tell(&other, WALK_ACCEPTED, rule, NULL);
	/* Back in the chain before; its policy is a base chain's own end. */
	if (next == END_OF_CHAIN && way->depth)
		tell(&other, WALK_LEFT, rule, NULL);
}

static enum next
map(struct way *way, struct rule *rule, const struct step *s)
{
	for (size_t i = 0; i + 1 < s->n_branches; i += 2) {
		struct holds h = holds(&s->branches[i], &way->packet);
		struct way other = *way;

		if (h.answer == YES)
			return act(way, rule, &s->branches[i + 1]);
		if (h.answer == NO)
			continue;
		other.maybe |= h.why;
		way->walk->maybe |= h.why;
		if (act(&other, rule, &s->branches[i + 1]) == END_OF_CHAIN &&
		    way->depth)
			tell(&other, WALK_LEFT, rule, NULL);
	}
	return GO_ON;
}

/* A step of RULE; NO_MORE: the rule is not for this packet. */
static enum next
step(struct way *way, struct rule *rule, size_t i, bool *no_more)
{
	const struct step *s = &rule->steps[i];
	struct holds h;

	if (s->branches)
		return map(way, rule, s);
	if (s->kind >= STEP_ACCEPT) {
		rule->visited = true;
		return act(way, rule, s);
	}
	h = holds(s, &way->packet);
	if (h.answer == MAYBE)
		take_perhaps(way, rule, i + 1, h.why);
	*no_more = h.answer != YES;
	return GO_ON;
}

static enum next
take(struct way *way, struct rule *rule, size_t i)
{
	bool no_more = false;

	for (; i < rule->n_steps && !no_more; i++) {
		enum next next;

		if (++way->walk->steps > MOST_STEPS) {
			way->walk->cut = true;
			return END;
		}
		next = step(way, rule, i, &no_more);
		if (next != GO_ON)
			return next;
	}
	return GO_ON;
}

static enum next
through(struct way *way, const struct chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++) {
		enum next next = take(way, chain->rules[i], 0);

		if (next == END)
			return END;
		if (next == END_OF_CHAIN)
			break;
	}
	return GO_ON;
}

/* The base chain after AFTER (NULL: the first), in the kernel's order. */
static const struct chain *
next_base(const struct ruleset *set, int family, enum ruleset_hook hook,
    bool nat, const struct chain *after)
{
	const struct chain *best = NULL;
	bool passed = false;

	for (size_t i = 0; i < set->n_chains; i++) {
		const struct chain *c = set->chains[i];

		if (c == after)
			passed = true;
		if (c == after || c->hook != hook || !c->type ||
		    (c->family && c->family != family) ||
		    nat != !strcmp(c->type, "nat"))
			continue;
		if (after &&
		    (c->priority < after->priority ||
			(c->priority == after->priority && !passed)))
			continue;
		if (!best || c->priority < best->priority)
			best = c;
	}
	return best;
}

/* True when nothing follows: dropped, or translated for good. */
static bool
is_over(const struct walk *walk)
{
	const struct walk_event *e =
	    walk->n_events ? &walk->events[walk->n_events - 1] : NULL;

	return e && !e->maybe &&
	    (e->what == WALK_DROPPED ||
		(e->what == WALK_SEEN && e->step->kind >= STEP_SNAT &&
		    e->step->kind <= STEP_DNAT));
}

void
ruleset_walk(const struct ruleset *set, struct packet packet,
    enum ruleset_hook hook, bool nat, struct walk *walk)
{
	struct way way = { .set = set, .walk = walk, .packet = packet };
	const struct chain *c = NULL;

	walk->arena = set->arena;
	while ((c = next_base(set, packet.family, hook, nat, c))) {
		way.base = c;
		if (through(&way, c) != END)
			tell(&way,
			    c->policy_drop ? WALK_DROPPED : WALK_ACCEPTED, NULL,
			    NULL);
		if (is_over(walk))
			return;
	}
}

const struct walk_event *
walk_last(const struct walk *walk)
{
	for (size_t i = walk->n_events; i > 0; i--)
		if (!walk->events[i - 1].maybe &&
		    walk->events[i - 1].what < WALK_SEEN)
			return &walk->events[i - 1];
	return NULL;
}
