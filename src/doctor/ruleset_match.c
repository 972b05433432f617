/* The conditions of nft's rules: libnftables-json(5). */
#include <pwd.h>
#include <string.h>

#include "doctor/ruleset.h"

static const char *
word(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* --- values -------------------------------------------------------- */

json_t *
ruleset_nft_elements(struct ruleset_nft *r, const char *kind, const char *name)
{
	json_t *object, *set;
	size_t i;

	json_array_foreach(r->list, i, object)
	{
		set = json_object_get(object, kind);
		if (set && !strcmp(word(set, "name"), name) &&
		    !strcmp(word(set, "table"), r->chain->table) &&
		    !strcmp(word(set, "family"), r->chain->nft_family))
			return json_object_get(set, "elem");
	}
	return NULL;
}

/* RIGHT as a list; the caller lets go of it. */
static json_t *
as_list(struct ruleset_nft *r, json_t *right)
{
	const char *text = json_string_value(right);
	json_t *set = json_object_get(right, "set");

	if (text && *text == '@')
		right = ruleset_nft_elements(r, "set", text + 1);
	else if (set)
		right = set;
	if (json_is_array(right))
		return json_incref(right);
	return right ? json_pack("[O]", right) : json_array();
}

static bool
has_word(json_t *list, const char *text)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) if (json_is_string(one) &&
	    !strcmp(json_string_value(one), text)) return true;
	return json_is_string(list) && !strcmp(json_string_value(list), text);
}

/* --- what the left side asks for; LIST is the right one ------------ */

static void
names_of(
    struct ruleset_nft *r, struct step *s, enum step_kind kind, json_t *list)
{
	json_t *one;
	size_t i;

	s->kind = kind;
	s->names = arena_alloc(
	    r->set->arena, (json_array_size(list) + 1) * sizeof(*s->names));
	json_array_foreach(list, i, one) if (json_is_string(one))
	    s->names[s->n_names++] = json_string_value(one);
}

static void
ports_of(struct ruleset_nft *r, struct step *s, json_t *list)
{
	json_t *one;
	size_t i;

	s->kind = STEP_PORT;
	s->ranges = arena_alloc(
	    r->set->arena, (json_array_size(list) + 1) * sizeof(*s->ranges));
	json_array_foreach(list, i, one)
	{
		json_t *range = json_object_get(one, "range");
		json_t *low = range ? json_array_get(range, 0) : one;
		json_t *high = range ? json_array_get(range, 1) : one;

		if (json_is_integer(low))
			s->ranges[s->n_ranges++] = (struct range){
				(uint16_t)json_integer_value(low),
				(uint16_t)json_integer_value(high),
			};
	}
}

/* One number; several are beyond us. */
static void
number_of(struct step *s, enum step_kind kind, uint32_t mask, json_t *list)
{
	json_t *one = json_array_get(list, 0);

	if (json_array_size(list) != 1 || !json_is_integer(one))
		return;
	s->kind = kind;
	s->mask = mask;
	s->value = (uint32_t)json_integer_value(one);
}

static void
family_of(struct step *s, json_t *list)
{
	bool v4 = has_word(list, "ipv4") || has_word(list, "ip");
	bool v6 = has_word(list, "ipv6") || has_word(list, "ip6");

	if (v4 == v6)
		return;
	s->kind = STEP_FAMILY;
	s->value = v4 ? 4 : 6;
}

static void
owner_of(struct step *s, json_t *list)
{
	const char *name = json_string_value(json_array_get(list, 0));
	struct passwd *pw = name ? getpwnam(name) : NULL;

	if (pw) {
		s->kind = STEP_OWNER;
		s->value = pw->pw_uid;
	} else {
		number_of(s, STEP_OWNER, UINT32_MAX, list);
	}
}

static void
tcp_among(struct step *s, json_t *list)
{
	s->kind = STEP_TCP;
	s->value = has_word(list, "tcp");
}

static void
meta(struct ruleset_nft *r, struct step *s, const char *key, uint32_t mask,
    json_t *list)
{
	if (!strcmp(key, "iifname") || !strcmp(key, "iif"))
		names_of(r, s, STEP_IIF, list);
	else if (!strcmp(key, "oifname") || !strcmp(key, "oif"))
		names_of(r, s, STEP_OIF, list);
	else if (!strcmp(key, "mark"))
		number_of(s, STEP_MARK, mask, list);
	else if (!strcmp(key, "nfproto") || !strcmp(key, "protocol"))
		family_of(s, list);
	else if (!strcmp(key, "l4proto"))
		tcp_among(s, list);
	else if (!strcmp(key, "skuid"))
		owner_of(s, list);
}

static void
conntrack(struct step *s, const char *key, uint32_t mask, json_t *list)
{
	if (!strcmp(key, "state")) {
		s->kind = STEP_STATE;
		s->value = (has_word(list, "new") ? RULESET_NEW : 0) |
		    (has_word(list, "established") ? RULESET_ESTABLISHED : 0);
	} else if (!strcmp(key, "mark")) {
		number_of(s, STEP_CT_MARK, mask, list);
	} else if (!strcmp(key, "zone")) {
		number_of(s, STEP_ZONE, UINT32_MAX, list);
	}
}

/* BITS: what the field is and'ed with, or NULL. */
static void
payload(struct ruleset_nft *r, struct step *s, json_t *field, json_t *bits,
    json_t *list)
{
	const char *name = word(field, "field");

	if (!strcmp(name, "dport")) {
		ports_of(r, s, list);
	} else if (!strcmp(name, "saddr") || !strcmp(name, "daddr")) {
		s->kind = STEP_ADDRESS;
	} else if (!strcmp(name, "flags") &&
	    !strcmp(word(field, "protocol"), "tcp")) {
		if (has_word(list, "syn") && json_array_size(list) == 1 &&
		    (!bits || has_word(bits, "ack")))
			s->kind = STEP_SYN;
	} else if (!strcmp(name, "protocol") || !strcmp(name, "nexthdr")) {
		tcp_among(s, list);
	}
}

static void
address_type(struct step *s, json_t *fib, json_t *list)
{
	bool source = has_word(json_object_get(fib, "flags"), "saddr");

	s->kind = STEP_ADDRESS;
	if (!strcmp(word(fib, "result"), "type") && has_word(list, "local"))
		s->kind = source ? STEP_FROM_US : STEP_TO_US;
}

static void
socket_has(struct step *s, json_t *socket, json_t *list)
{
	const char *key = word(socket, "key");
	bool is_zero = !json_integer_value(json_array_get(list, 0));

	/* What holds a connection is no listener for any address. */
	if (!strcmp(key, "wildcard") && is_zero && !s->negated)
		s->kind = STEP_SOCKET;
	if (strcmp(key, "transparent") != 0)
		return;
	s->kind = STEP_SOCKET;
	s->negated ^= is_zero;
}

/* The condition that LEFT is RIGHT. */
struct step
ruleset_nft_condition(
    struct ruleset_nft *r, json_t *left, json_t *right, bool negated)
{
	struct step s = { .kind = STEP_OPAQUE, .negated = negated };
	json_t *masked = json_object_get(left, "&"), *inner;
	json_t *bits = json_array_get(masked, 1);
	json_t *list = as_list(r, right);
	uint32_t mask = UINT32_MAX;

	if (masked)
		left = json_array_get(masked, 0);
	if (json_is_integer(bits))
		mask = (uint32_t)json_integer_value(bits);
	if ((inner = json_object_get(left, "meta")))
		meta(r, &s, word(inner, "key"), mask, list);
	else if ((inner = json_object_get(left, "ct")))
		conntrack(&s, word(inner, "key"), mask, list);
	else if ((inner = json_object_get(left, "payload")))
		payload(r, &s, inner, bits, list);
	else if ((inner = json_object_get(left, "fib")))
		address_type(&s, inner, list);
	else if ((inner = json_object_get(left, "socket")))
		socket_has(&s, inner, list);
	json_decref(list);
	return s;
}

/* A field of a header says of which protocol a packet must be. */
void
ruleset_nft_require(struct ruleset_nft *r, const char *protocol)
{
	static const char *const others[] = { "udp", "icmp", "icmpv6", "sctp",
		"dccp", "udplite", "esp", "ah", "arp", "igmp" };

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strcmp(protocol, others[i]))
			ruleset_step(r->set, r->rule, STEP_TCP)->value = 0;
	if (!strcmp(protocol, "ip") || !strcmp(protocol, "ip6"))
		ruleset_step(r->set, r->rule, STEP_FAMILY)->value =
		    protocol[2] ? 6 : 4;
}

void
ruleset_nft_match(struct ruleset_nft *r, json_t *json)
{
	json_t *left = json_object_get(json, "left");
	json_t *masked = json_object_get(left, "&");
	json_t *field = json_object_get(
	    masked ? json_array_get(masked, 0) : left, "payload");
	const char *op = word(json, "op");
	struct step s = { .kind = STEP_OPAQUE };

	ruleset_nft_require(r, word(field, "protocol"));
	if (!strcmp(op, "==") || !strcmp(op, "!=") || !strcmp(op, "in"))
		s = ruleset_nft_condition(
		    r, left, json_object_get(json, "right"), !strcmp(op, "!="));
	*ruleset_step(r->set, r->rule, s.kind) = s;
}
