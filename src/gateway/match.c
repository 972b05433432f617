#include "gateway/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* By address; of two with the same one the wider comes first. */
static int
compare(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int order = memcmp(x->bytes, y->bytes, sizeof(x->bytes));

	return order ? order : x->len - y->len;
}

static bool
is_inside(const struct prefix *p, const struct prefix *wide)
{
	size_t whole = wide->len / 8, bits = wide->len % 8;
	unsigned mask = 0xff00u >> bits & 0xff;

	return p->len >= wide->len && !memcmp(p->bytes, wide->bytes, whole) &&
	    (!bits || !((p->bytes[whole] ^ wide->bytes[whole]) & mask));
}

int
match_make(
    struct match *m, const struct prefix *list, size_t n, sa_family_t family)
{
	size_t used = 0;

	*m = (struct match){ .never = n > 0 };
	if (!n)
		return 0;
	m->prefixes = malloc(n * sizeof(*list));
	if (!m->prefixes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (list[i].family == family)
			m->prefixes[m->n++] = list[i];
	qsort(m->prefixes, m->n, sizeof(*list), compare);
	for (size_t i = 0; i < m->n; i++)
		if (!used ||
		    !is_inside(&m->prefixes[i], &m->prefixes[used - 1]))
			m->prefixes[used++] = m->prefixes[i];
	m->n = used;
	m->never = !used;
	if (used && !m->prefixes[0].len) /* everything of the family */
		m->n = 0;
	return 0;
}

void
match_clear(struct match *m)
{
	free(m->prefixes);
	*m = (struct match){ 0 };
}

size_t
match_decisive(const struct conf *conf)
{
	size_t n = conf->n_policies;

	while (n && conf->policies[n - 1].action == CONF_PROXY)
		n--;
	return n;
}

bool
match_listen(const struct conf *conf, sa_family_t family, struct addr *a)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		if (conf->listens[i].sa.sa_family == family) {
			*a = conf->listens[i];
			return true;
		}
	return false;
}

bool
match_transparent(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (conf->policies[i].source.client)
			return true;
	return conf->fallback.source.client;
}

bool
match_rejects(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_policies; i++)
		if (conf->policies[i].action == CONF_REJECT)
			return true;
	return false;
}
