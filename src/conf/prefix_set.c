#include "conf/prefix_set.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* An address of either family; IPv4 sits in the uppermost 32 bits. */
struct key {
	uint64_t high, low;
};

/*
 * Sorted by start, then by length: what contains an entry stands before
 * it. The parent is the next wider entry around this one (an equal one
 * counts), so that the entries around an address form one chain.
 */
struct entry {
	struct key start, end;
	uint32_t parent;
	uint32_t tag;
};

struct table {
	struct entry *entries;
	size_t n;
};

struct prefix_set {
	struct table tables[2]; /* IPv4, IPv6 */
};

static size_t
table_of(sa_family_t family)
{
	return family == AF_INET6;
}

static int
key_compare(struct key a, struct key b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	if (a.low != b.low)
		return a.low < b.low ? -1 : 1;
	return 0;
}

static struct key
key_of(const uint8_t *bytes, size_t len)
{
	uint64_t words[2] = { 0, 0 };

	for (size_t i = 0; i < len; i++)
		words[i / 8] |= (uint64_t)bytes[i] << (56 - 8 * (i % 8));
	return (struct key){ words[0], words[1] };
}

/* The last address that shares the first LEN bits with START. */
static struct key
key_last(struct key start, unsigned len)
{
	if (len < 64)
		return (
		    struct key){ start.high | UINT64_MAX >> len, UINT64_MAX };
	if (len < 128)
		start.low |= UINT64_MAX >> (len - 64);
	return start;
}

static struct entry
entry_of(const struct prefix *p, uint32_t tag)
{
	struct key start = key_of(p->bytes, p->family == AF_INET6 ? 16 : 4);

	return (struct entry){ start, key_last(start, p->len), NONE, tag };
}

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = key_compare(x->start, y->start);

	if (!order)
		order = key_compare(y->end, x->end);
	if (!order)
		order = (x->tag > y->tag) - (x->tag < y->tag);
	return order;
}

/* Prefixes nest or stand apart: those still open are the last one's chain. */
static void
link_parents(struct table *t)
{
	uint32_t open = NONE;

	for (size_t i = 0; i < t->n; i++) {
		struct entry *e = &t->entries[i];

		while (open != NONE &&
		    key_compare(t->entries[open].end, e->start) < 0)
			open = t->entries[open].parent;
		e->parent = open;
		open = (uint32_t)i;
	}
}

struct prefix_set *
prefix_set_new(const struct prefix_tag *items, size_t n)
{
	struct prefix_set *set = calloc(1, sizeof(*set));
	size_t counts[2] = { 0, 0 };

	if (!set)
		return NULL;
	for (size_t i = 0; i < n; i++)
		counts[table_of(items[i].prefix.family)]++;
	for (size_t i = 0; i < 2; i++) {
		set->tables[i].entries =
		    calloc(counts[i] + 1, sizeof(struct entry));
		if (!set->tables[i].entries) {
			prefix_set_free(set);
			return NULL;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct prefix *p = &items[i].prefix;
		struct table *t = &set->tables[table_of(p->family)];

		t->entries[t->n++] = entry_of(p, items[i].tag);
	}
	for (size_t i = 0; i < 2; i++) {
		struct table *t = &set->tables[i];

		qsort(t->entries, t->n, sizeof(*t->entries), entry_compare);
		link_parents(t);
	}
	return set;
}

void
prefix_set_free(struct prefix_set *set)
{
	if (!set)
		return;
	free(set->tables[0].entries);
	free(set->tables[1].entries);
	free(set);
}

/* The last entry that starts at KEY or before; NONE when all are later. */
static uint32_t
last_before(const struct table *t, struct key key)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (key_compare(t->entries[middle].start, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? (uint32_t)(low - 1) : NONE;
}

bool
prefix_set_visit(const struct prefix_set *set, const struct addr *a,
    prefix_visit *visit, void *arg)
{
	const struct table *t = &set->tables[table_of(a->sa.sa_family)];
	size_t len;
	const uint8_t *bytes = addr_bytes(a, &len);
	struct key key = key_of(bytes, len);

	for (uint32_t i = last_before(t, key); i != NONE;
	     i = t->entries[i].parent)
		if (key_compare(key, t->entries[i].end) <= 0 &&
		    visit(arg, t->entries[i].tag))
			return true;
	return false;
}

static bool
any_tag(void *arg, uint32_t tag)
{
	(void)arg;
	(void)tag;
	return true;
}

bool
prefix_set_contains(const struct prefix_set *set, const struct addr *a)
{
	return prefix_set_visit(set, a, any_tag, NULL);
}

/*
 * Moves *NEXT, the first address not yet covered, past E. True when that
 * covers everything up to END.
 */
static bool
cover(struct key *next, const struct entry *e, struct key end)
{
	if (key_compare(e->end, *next) < 0)
		return false;
	if (key_compare(e->end, end) >= 0)
		return true;
	*next = e->end;
	if (!++next->low)
		next->high++;
	return false;
}

bool
prefix_set_covers(const struct prefix_set *set, const struct prefix *p,
    prefix_visit *accept, void *arg)
{
	const struct table *t = &set->tables[table_of(p->family)];
	struct entry want = entry_of(p, 0);
	struct key next = want.start;
	uint32_t from = last_before(t, want.start);

	if (!accept)
		accept = any_tag;
	/* One that lies around all of P, or begins where P does. */
	for (uint32_t i = from; i != NONE; i = t->entries[i].parent)
		if (key_compare(next, t->entries[i].end) <= 0 &&
		    accept(arg, t->entries[i].tag) &&
		    cover(&next, &t->entries[i], want.end))
			return true;
	/* Those that lie inside, side by side, until one leaves a gap. */
	for (size_t i = from == NONE ? 0 : from + 1; i < t->n; i++) {
		const struct entry *e = &t->entries[i];

		if (key_compare(e->start, want.end) > 0)
			return false;
		if (!accept(arg, e->tag))
			continue;
		if (key_compare(e->start, next) > 0)
			return false;
		if (cover(&next, e, want.end))
			return true;
	}
	return false;
}
