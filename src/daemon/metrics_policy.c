/* The metrics that come from the counters of each policy. */
#include <inttypes.h>
#include <stdio.h>

#include "daemon/metrics_table.h"
#include "flow/histogram.h"

#define LABELS_MAX 128 /* a name has 64 bytes at most */

static const void *
field(const struct scrape_policy *p, size_t offset)
{
	return (const char *)&p->sum.stats + offset;
}

/* `policy="NAME"`, and the cell's own label. */
static const char *
labels_of(const struct metric *m, const struct scrape_policy *p, int cell,
    char text[LABELS_MAX])
{
	if (m->label)
		snprintf(text, LABELS_MAX, "policy=\"%s\",%s=\"%s\"", p->name,
		    m->label, m->cells[cell].value);
	else
		snprintf(text, LABELS_MAX, "policy=\"%s\"", p->name);
	return text;
}

void
metric_counters(struct scrape *s, const struct metric *m)
{
	char labels[LABELS_MAX];

	for (size_t i = 0; i < s->n_policies; i++)
		for (int c = 0; c < (m->label ? 2 : 1); c++) {
			const struct scrape_policy *p = &s->policies[i];
			const stats_counter *counter =
			    field(p, m->cells[c].offset);

			scrape_print(s, "%s{%s} %" PRIu64 "\n", m->name,
			    labels_of(m, p, c, labels), *counter);
		}
}

void
metric_active(struct scrape *s, const struct metric *m)
{
	for (size_t i = 0; i < s->n_policies; i++) {
		const struct policy_stats *p = &s->policies[i].sum.stats;
		uint64_t opened = p->flows_opened, ended = p->flows_ended;

		/* One may have come and gone while they were summed up. */
		scrape_print(s, "%s{policy=\"%s\"} %" PRIu64 "\n", m->name,
		    s->policies[i].name, opened > ended ? opened - ended : 0);
	}
}

void
metric_endings(struct scrape *s, const struct metric *m)
{
	for (size_t i = 0; i < s->n_policies; i++)
		for (int e = 0; e < ENDING_COUNT; e++)
			scrape_print(s,
			    "%s{policy=\"%s\",ending=\"%s\"} %" PRIu64 "\n",
			    m->name, s->policies[i].name,
			    ending_word((enum ending)e),
			    s->policies[i].sum.stats.endings[e]);
}

/* The buckets of H below so many units are those before the bound. */
static void
print_histogram(struct scrape *s, const struct metric *m,
    const struct histogram *h, const char *labels)
{
	uint64_t count = 0;
	size_t next = 0;

	for (unsigned power = m->first; power <= m->last; power += m->step) {
		uint64_t bound = UINT64_C(1) << power;

		while (histogram_bound(next) < bound)
			count += h->buckets[next++];
		scrape_print(s, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n",
		    m->name, labels, (double)bound * m->unit, count);
	}
	while (next < HISTOGRAM_BUCKETS)
		count += h->buckets[next++];
	scrape_print(s,
	    "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n"
	    "%s_sum{%s} %.6f\n%s_count{%s} %" PRIu64 "\n",
	    m->name, labels, count, m->name, labels, (double)h->sum * m->unit,
	    m->name, labels, count);
}

void
metric_histograms(struct scrape *s, const struct metric *m)
{
	char labels[LABELS_MAX];

	for (size_t i = 0; i < s->n_policies; i++)
		for (int c = 0; c < (m->label ? 2 : 1); c++) {
			const struct scrape_policy *p = &s->policies[i];

			print_histogram(s, m, field(p, m->cells[c].offset),
			    labels_of(m, p, c, labels));
		}
}
