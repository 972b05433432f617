/* Where the chains that iptables has from the start stand. */
#include <string.h>

#include "doctor/ruleset.h"

static const struct {
	const char *table;
	long priority;
} priorities[] = {
	{ "raw", -300 },
	{ "mangle", -150 },
	{ "filter", 0 },
	{ "security", 50 },
};

static const char *const hooks[] = {
	[RULESET_PREROUTING] = "PREROUTING",
	[RULESET_INPUT] = "INPUT",
	[RULESET_FORWARD] = "FORWARD",
	[RULESET_OUTPUT] = "OUTPUT",
	[RULESET_POSTROUTING] = "POSTROUTING",
};

void
ruleset_place_iptables(struct chain *c)
{
	c->type = "filter";
	for (size_t i = 0; i < sizeof(priorities) / sizeof(*priorities); i++)
		if (!strcmp(priorities[i].table, c->table))
			c->priority = priorities[i].priority;
	for (int i = 0; i < RULESET_NO_HOOK; i++)
		if (!strcmp(hooks[i], c->name))
			c->hook = (enum ruleset_hook)i;
	if (!strcmp(c->table, "nat")) {
		bool dst =
		    c->hook == RULESET_PREROUTING || c->hook == RULESET_OUTPUT;

		c->type = "nat";
		c->priority = dst ? -100 : 100;
	}
}
