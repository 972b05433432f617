#include "daemon/policies.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/state.h"

/* Rows of the result, sorted by name: names are interned pointers. */
struct entry {
	const char *name;
	size_t row;
};

static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->name == y->name)
		return 0;
	return (uintptr_t)x->name < (uintptr_t)y->name ? -1 : 1;
}

static size_t
count_met(const struct daemon *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->shared.n_workers; i++)
		for (const struct policy_stats *p =
			 policy_book_first(worker_policies(d->workers[i]));
		     p; p = p->next)
			n++;
	return n;
}

/* Policies that only a worker knows come last. */
static void
add_met(struct policies *policies, const struct daemon *d,
    const struct entry *index, size_t n_conf, size_t most)
{
	for (size_t i = 0; i < d->shared.n_workers; i++)
		for (const struct policy_stats *p =
			 policy_book_first(worker_policies(d->workers[i]));
		     p; p = p->next) {
			struct entry key = { .name = p->name };
			const struct entry *at =
			    bsearch(&key, index, n_conf, sizeof(key), compare);
			size_t row = at ? at->row : n_conf;

			while (!at && row < policies->n &&
			    policies->rows[row].name != p->name)
				row++;
			if (row == most)
				return; /* met since they were counted */
			if (row == policies->n)
				policies->rows[policies->n++].name = p->name;
			policy_stats_sum(&policies->rows[row], p);
		}
}

/* A policy of the file may have the name of the built-in one. */
static bool
names_fallback(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (conf->policies[i].name == conf->fallback.name)
			return true;
	return false;
}

int
policies_collect(struct policies *policies, const struct daemon *d)
{
	const struct conf *conf = d->conf;
	size_t n_conf = conf->n_policies + !names_fallback(conf);
	size_t most = n_conf + count_met(d);
	struct entry *index = calloc(n_conf, sizeof(*index));

	*policies = (struct policies){
		.rows = calloc(most, sizeof(struct policy_stats)),
		.n = n_conf,
	};
	if (!index || !policies->rows) {
		free(index);
		policies_clear(policies);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_conf; i++) {
		const struct policy *p =
		    i < conf->n_policies ? &conf->policies[i] : &conf->fallback;

		policies->rows[i].name = p->name;
		index[i] = (struct entry){ p->name, i };
	}
	qsort(index, n_conf, sizeof(*index), compare);
	add_met(policies, d, index, n_conf, most);
	free(index);
	return 0;
}

void
policies_clear(struct policies *policies)
{
	free(policies->rows);
	*policies = (struct policies){ 0 };
}
