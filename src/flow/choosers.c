#include "flow/choosers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 512
#define SLOTS 8 /* of each; the longest unused one is given away */
#define SPINS 200
#define REFUSED_MS (10 * 60 * 1000)

/*
 * A short flow ends in the middle of its start-up, so only flows of similar
 * size are compared, and of the sizes that one counts whose flows take the
 * most time of late.
 */
#define SIZES 3
#define LOAD_MEMORY 16.0
static const uint64_t size_ends[SIZES - 1] = { 2 << 20, 8 << 20 };

struct slot {
	struct choosers_key key; /* policy NULL: free */
	size_t n;
	const char *names[CHOOSER_MOST];
	uint64_t turns[CHOOSER_MOST], told[CHOOSER_MOST];
	int64_t refused_ms[CHOOSER_MOST]; /* until then */
	int64_t used_ms;
	uint32_t dice;
	double loads[SIZES]; /* us of sending, of late */
	struct chooser sizes[SIZES];
};

struct bucket {
	atomic_flag busy;
	struct slot slots[SLOTS];
};

struct choosers {
	struct bucket buckets[BUCKETS];
};

struct choosers *
choosers_new(void)
{
	/* Zero is a clear flag; what is never touched takes no memory. */
	return calloc(1, sizeof(struct choosers));
}

void
choosers_free(struct choosers *cs)
{
	free(cs);
}

struct prefix
choosers_network(const struct addr *a)
{
	struct prefix p = { .family = a->sa.sa_family };
	size_t len;
	const uint8_t *bytes = addr_bytes(a, &len);

	p.len = p.family == AF_INET6 ? 48 : 24;
	memcpy(p.bytes, bytes, p.len / 8);
	return p;
}

/* --- the table ------------------------------------------------------- */

static bool
is_same(const struct choosers_key *a, const struct choosers_key *b)
{
	return a->policy == b->policy && a->side == b->side &&
	    a->peers.family == b->peers.family &&
	    !memcmp(a->peers.bytes, b->peers.bytes, sizeof(a->peers.bytes));
}

/* FNV-1a. */
static uint32_t
hash(const struct choosers_key *key)
{
	uint32_t h = 2166136261u ^ (uint32_t)(uintptr_t)key->policy;

	h = (h ^ key->side) * 16777619u;
	for (size_t i = 0; i < sizeof(key->peers.bytes); i++)
		h = (h ^ key->peers.bytes[i]) * 16777619u;
	return h ^ h >> 16;
}

static bool
enter(struct bucket *b)
{
	for (int i = 0; i < SPINS; i++)
		if (!atomic_flag_test_and_set_explicit(
			&b->busy, memory_order_acquire))
			return true;
	return false;
}

static void
leave(struct bucket *b)
{
	atomic_flag_clear_explicit(&b->busy, memory_order_release);
}

static struct slot *
find(struct bucket *b, const struct choosers_key *key)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (is_same(&b->slots[i].key, key))
			return &b->slots[i];
	return NULL;
}

static struct slot *
find_or_make(struct bucket *b, const struct choosers_key *key)
{
	struct slot *slot = find(b, key);

	if (slot)
		return slot;
	slot = &b->slots[0];
	for (size_t i = 1; i < SLOTS; i++)
		if (b->slots[i].used_ms < slot->used_ms)
			slot = &b->slots[i];
	*slot = (struct slot){ .key = *key, .dice = hash(key) };
	return slot;
}

static size_t
arm_of(const struct slot *slot, const char *name)
{
	size_t i = 0;

	while (i < slot->n && slot->names[i] != name)
		i++;
	return i;
}

/* After a reload SLOT may have other algorithms; what stays is kept. */
static void
set_names(struct slot *slot, const char *const *names, size_t n)
{
	struct slot old = *slot;

	if (n == old.n && !memcmp(names, old.names, n * sizeof(*names)))
		return;
	*slot = (struct slot){
		.key = old.key,
		.n = n,
		.dice = old.dice,
	};
	memcpy(slot->loads, old.loads, sizeof(slot->loads));
	for (size_t i = 0; i < n; i++) {
		size_t from = arm_of(&old, names[i]);

		slot->names[i] = names[i];
		if (from == old.n)
			continue;
		slot->turns[i] = old.turns[from];
		slot->told[i] = old.told[from];
		slot->refused_ms[i] = old.refused_ms[from];
		for (size_t s = 0; s < SIZES; s++)
			slot->sizes[s].arms[i] = old.sizes[s].arms[from];
	}
}

/* --- what goes in and out -------------------------------------------- */

/* The size of flows that counts. */
static size_t
main_size(const struct slot *slot)
{
	size_t most = 0;

	for (size_t i = 1; i < SIZES; i++)
		if (slot->loads[i] > slot->loads[most])
			most = i;
	return most;
}

static unsigned
allowed(const struct slot *slot, int64_t now_ms)
{
	unsigned bits = 0;

	for (size_t i = 0; i < slot->n; i++)
		if (slot->refused_ms[i] <= now_ms)
			bits |= 1u << i;
	return bits ? bits : (1u << slot->n) - 1;
}

static struct choosers_choice
pick(struct slot *slot, int64_t now_ms)
{
	struct chooser *c = &slot->sizes[main_size(slot)];
	unsigned may = allowed(slot, now_ms);
	size_t best = chooser_best(c, slot->n, may), arm;
	struct choosers_choice choice = { 0 };

	slot->dice = slot->dice * 1664525u + 1013904223u;
	arm = chooser_pick(c, slot->n, may, slot->dice);
	slot->turns[arm]++;
	slot->used_ms = now_ms;
	choice.name = slot->names[arm];
	if (best < slot->n && best != arm) {
		choice.better = slot->names[best];
		choice.cost = c->arms[best].cost;
	}
	return choice;
}

struct choosers_choice
choosers_pick(struct choosers *cs, const struct choosers_key *key,
    const char *const *names, size_t n, int64_t now_ms)
{
	struct bucket *b = &cs->buckets[hash(key) % BUCKETS];
	struct choosers_choice choice = { .name = names[0] };

	if (enter(b)) {
		struct slot *slot = find_or_make(b, key);

		set_names(slot, names, n);
		choice = pick(slot, now_ms);
		leave(b);
	}
	return choice;
}

static void
learn(struct slot *slot, size_t arm, const struct choosers_flow *flow,
    int64_t now_ms)
{
	double cost = 1000.0 * (double)flow->busy_us / (double)flow->bytes;
	size_t size = 0;

	while (size < SIZES - 1 && flow->bytes >= size_ends[size])
		size++;
	/* What was given up was to become a flow of the size that counts. */
	if (flow->tried)
		size = main_size(slot);
	for (size_t i = 0; i < SIZES; i++)
		slot->loads[i] -= slot->loads[i] / LOAD_MEMORY;
	slot->loads[size] += (double)flow->busy_us;
	slot->told[arm]++;
	chooser_learn(&slot->sizes[size], arm, cost, now_ms);
}

void
choosers_learn(struct choosers *cs, const struct choosers_key *key,
    const char *name, const struct choosers_flow *flow, int64_t now_ms)
{
	struct bucket *b = &cs->buckets[hash(key) % BUCKETS];
	struct slot *slot;

	if (!enter(b))
		return;
	slot = find(b, key);
	if (slot && arm_of(slot, name) < slot->n)
		learn(slot, arm_of(slot, name), flow, now_ms);
	leave(b);
}

void
choosers_refuse(struct choosers *cs, const struct choosers_key *key,
    const char *name, int64_t now_ms)
{
	struct bucket *b = &cs->buckets[hash(key) % BUCKETS];
	struct slot *slot;

	if (!enter(b))
		return;
	slot = find(b, key);
	if (slot && arm_of(slot, name) < slot->n)
		slot->refused_ms[arm_of(slot, name)] = now_ms + REFUSED_MS;
	leave(b);
}

/* --- for who looks ---------------------------------------------------- */

static void
look(struct choosers_view *view, const struct slot *slot)
{
	const struct chooser *c = &slot->sizes[main_size(slot)];
	unsigned all = (1u << slot->n) - 1;

	*view = (struct choosers_view){
		.peers = slot->key.peers,
		.n = slot->n,
		.best = chooser_best(c, slot->n, all),
		.used_ms = slot->used_ms,
	};
	for (size_t i = 0; i < slot->n; i++) {
		double cost = c->arms[i].cost;

		view->arms[i] = (struct choosers_arm_view){
			.name = slot->names[i],
			.flows = slot->turns[i],
			.told = slot->told[i],
			.rate = cost > 0 ? (uint64_t)(8e9 / cost) : 0,
		};
	}
}

/* Puts VIEW among the N that were used last; how many there are then. */
static size_t
insert(struct choosers_view *views, size_t n, size_t most,
    const struct choosers_view *view)
{
	size_t at = n;

	while (at && views[at - 1].used_ms < view->used_ms)
		at--;
	if (at == most)
		return n;
	if (n == most)
		n--;
	memmove(&views[at + 1], &views[at], (n - at) * sizeof(*views));
	views[at] = *view;
	return n + 1;
}

size_t
choosers_look(struct choosers *cs, const char *policy, unsigned side,
    struct choosers_view *views, size_t most)
{
	size_t total = 0, n = 0;

	for (size_t i = 0; i < BUCKETS; i++) {
		struct bucket *b = &cs->buckets[i];

		if (!enter(b))
			continue;
		for (size_t k = 0; k < SLOTS; k++) {
			const struct slot *slot = &b->slots[k];
			struct choosers_view view;

			if (slot->key.policy != policy ||
			    slot->key.side != side)
				continue;
			look(&view, slot);
			n = insert(views, n, most, &view);
			total++;
		}
		leave(b);
	}
	return total;
}
