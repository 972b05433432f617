#include "flow/sources.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#define BUCKETS 16384 /* a power of two */

struct source {
	LIST_ENTRY(source) entry;
	uint64_t net; /* the address, or the first 64 bits of it */
	sa_family_t family;
	int64_t flows;
};

struct sources {
	pthread_mutex_t lock;
	uint64_t seed; /* nobody can choose addresses that share a bucket */
	LIST_HEAD(, source) buckets[BUCKETS];
};

struct sources *
sources_new(void)
{
	struct sources *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	if (getrandom(&all->seed, sizeof(all->seed), GRND_NONBLOCK) < 0)
		all->seed = (uint64_t)(uintptr_t)all; /* of a young machine */
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

void
sources_free(struct sources *all)
{
	if (!all)
		return;
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static uint64_t
net_of(const struct addr *a)
{
	size_t len;
	const uint8_t *bytes = addr_bytes(a, &len);
	uint64_t net = 0;

	memcpy(&net, bytes, len < sizeof(net) ? len : sizeof(net));
	return net;
}

/* The finalizer of MurmurHash3, seeded before and between its steps. */
static size_t
bucket_of(const struct sources *all, uint64_t net)
{
	uint64_t h = net ^ all->seed;

	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33 ^ all->seed >> 7) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (h ^ h >> 33) & (BUCKETS - 1);
}

/* The entry of a client, made where there is none; NULL: out of memory. */
static struct source *
entry_of(struct sources *all, uint64_t net, sa_family_t family)
{
	size_t bucket = bucket_of(all, net);
	struct source *one;

	LIST_FOREACH(one, &all->buckets[bucket], entry)
		if (one->net == net && one->family == family)
			return one;
	one = calloc(1, sizeof(*one));
	if (!one)
		return NULL;
	one->net = net;
	one->family = family;
	LIST_INSERT_HEAD(&all->buckets[bucket], one, entry);
	return one;
}

int
sources_enter(struct sources *all, const struct addr *a, int64_t most,
    struct source **entry)
{
	struct source *one;
	int err = 0;

	pthread_mutex_lock(&all->lock);
	one = entry_of(all, net_of(a), a->sa.sa_family);
	if (!one)
		err = -ENOMEM;
	else if (most && one->flows >= most)
		err = -EDQUOT;
	else
		one->flows++;
	pthread_mutex_unlock(&all->lock);
	*entry = err ? NULL : one;
	return err;
}

void
sources_leave(struct sources *all, struct source *entry)
{
	bool last;

	pthread_mutex_lock(&all->lock);
	last = !--entry->flows;
	if (last)
		LIST_REMOVE(entry, entry);
	pthread_mutex_unlock(&all->lock);
	if (last)
		free(entry);
}
