#include "conf/conf.h"

#include <errno.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/policy.h"
#include "conf/reader.h"

/* Descriptors that are no flow's: logs, bases, clients that watch ... */
#define FDS_ASIDE 96

/* ... a worker's base, poller, mailbox, spares and idle pipes; ... */
#define FDS_WORKER 37

#define FDS_FLOW 2

/* One piece of what a snapshot holds; all go at once. */
struct conf_memory {
	struct conf_memory *next;
	max_align_t bytes[];
};

void *
conf_alloc(struct conf *conf, size_t n, size_t size)
{
	struct conf_memory *piece;
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*piece), &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	piece = calloc(1, bytes);
	if (!piece)
		return NULL;
	piece->next = conf->memory;
	conf->memory = piece;
	return piece->bytes;
}

struct conf *
conf_new(void)
{
	struct conf *conf = calloc(1, sizeof(*conf));

	if (conf)
		atomic_init(&conf->refs, 1);
	return conf;
}

static void
conf_free(struct conf *conf)
{
	policy_index_free(conf);
	while (conf->memory) {
		struct conf_memory *piece = conf->memory;

		conf->memory = piece->next;
		free(piece);
	}
	free(conf);
}

struct conf *
conf_ref(struct conf *conf)
{
	atomic_fetch_add_explicit(&conf->refs, 1, memory_order_relaxed);
	return conf;
}

void
conf_unref(struct conf *conf)
{
	if (conf && atomic_fetch_sub(&conf->refs, 1) == 1)
		conf_free(conf);
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Only the thread that reads configurations comes here. */
const char *
conf_intern(const char *text)
{
	static void *names;
	char *const *found = tfind(text, &names, compare_text);
	char *copy;

	if (found)
		return *found;
	copy = strdup(text);
	if (copy && tsearch(copy, &names, compare_text))
		return copy;
	free(copy);
	errno = ENOMEM;
	return NULL;
}

const struct policy *
conf_wants_window(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++) {
		const struct policy *p = &conf->policies[i];

		if (p->client.initial_window || p->server.initial_window)
			return p;
	}
	return NULL;
}

const char *
conf_default_path(const char *named)
{
	if (named)
		return named;
	return access(CONF_DEFAULT_PATH, F_OK) ? NULL : CONF_DEFAULT_PATH;
}

size_t
conf_workers(const struct conf *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->workers)
		return (size_t)conf->workers;
	return cpus > 0 ? (size_t)cpus : 1;
}

size_t
conf_descriptors(const struct conf *conf)
{
	/* ... and its listeners. */
	return FDS_ASIDE + conf_workers(conf) * (FDS_WORKER + conf->n_listens) +
	    FDS_FLOW * (size_t)conf->limits.flows;
}
