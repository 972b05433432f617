/* What `firewall' makes of ip(8), nft and iptables-save before a change. */
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "fuzz.h"
#include "gateway/plan.h"
#include "gateway/state.h"

static const char text[] =
    "listen = ( { address = \"127.0.0.1\"; port = 9999; },"
    " { address = \"::1\"; port = 9999; } ); user = \"\";"
    "policies = ( { name = \"a\"; sources = [ \"192.168.0.0/24\" ]; },"
    " { name = \"b\"; ports = [ 80 ]; action = \"bypass\"; } );"
    "firewall = { interfaces = [ \"wg0\", \"lan\" ]; };";

/* The steps between what is there and what is wanted, and those back. */
static void
plan(const struct state *ours, const struct state *theirs,
    const struct state *want)
{
	struct plan plan = { 0 };

	state_change(&plan, ours, want, theirs);
	state_change(&plan, want, ours, theirs);
	FUZZ_CHECK(!plan.failed);
	for (size_t i = 0; i < plan.n; i++)
		FUZZ_CHECK(*plan.steps[i].command);
	plan_clear(&plan);
}

static void
compare(const struct state *ours, const struct state *want)
{
	for (int f = 0; f < STATE_FAMILIES; f++)
		for (size_t i = 0; i < ours->rules[f].n; i++) {
			const char *line = ours->rules[f].at[i];

			FUZZ_CHECK(state_has(&ours->rules[f], line));
			FUZZ_CHECK(!state_is_wanted(line, &want->rules[f]) ||
			    strstr(line, "lookup"));
		}
}

static void
try_backend(const struct conf *conf, enum state_backend backend,
    const struct state *ours, const struct state *theirs)
{
	struct state want;

	if (!state_want(&want, conf, backend, ours)) {
		compare(ours, &want);
		plan(ours, theirs, &want);
	}
	state_clear(&want);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf *conf;
	struct state ours, theirs;
	char *said = NULL;

	if (!conf)
		conf = answers_conf(text);
	answers_set(data, size);
	if (!state_read(&ours, &theirs, 100, &said)) {
		try_backend(conf, STATE_NFT, &ours, &theirs);
		try_backend(conf, STATE_IPTABLES, &ours, &theirs);
		state_clear(&ours);
		state_clear(&theirs);
	}
	free(said);
	answers_clear();
	return 0;
}
