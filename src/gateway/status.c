/* Whether what is there is what the file says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sock.h"
#include "gateway/firewall.h"
#include "gateway/pending.h"

static bool
find(bool good, const char *what, const char *line, const char *finding)
{
	printf("%s%s%s: %s\n", what, *line ? " " : "", line, finding);
	return good;
}

/* Rules or routes of one family. */
static bool
look_at_lines(size_t f, const char *what, const struct state_lines *want,
    const struct state_lines *now, const struct state_lines *theirs)
{
	char name[32];
	bool good = true;

	snprintf(name, sizeof(name), "%s %s", state_families[f].ip, what);
	for (size_t i = 0; i < want->n; i++) {
		const char *line = want->at[i];

		if (state_has(now, line))
			find(true, name, line, "there");
		else if (state_has(theirs, line))
			find(true, name, line, "there, made by others");
		else
			good = find(false, name, line, "missing");
	}
	for (size_t i = 0; i < now->n; i++)
		if (!state_is_wanted(now->at[i], want))
			good = find(false, name, now->at[i],
			    "not of this configuration");
	return good;
}

static bool
look_at_text(const char *what, const char *now, const char *ought)
{
	if (!now)
		return find(false, what, "", "missing");
	if (!ought)
		return find(false, what, "", "there, cannot be compared");
	if (strcmp(now, ought))
		return find(false, what, "", "not what the configuration says");
	return find(true, what, "", "as the configuration says");
}

static bool
look_at_filter(const struct state *now, const struct state *want)
{
	struct state ought;
	char *said;
	bool good = true;

	if (state_rehearse(want, &ought, &said))
		printf("the packet filter's rules cannot be tried: %s\n",
		    said ? said : "no network namespace");
	free(said);
	if (want->nft)
		good =
		    look_at_text("nft table inet unatatp", now->nft, ought.nft);
	for (size_t f = 0; f < STATE_FAMILIES; f++) {
		const char *what =
		    f ? "ip6tables chains UNATATP" : "iptables chains UNATATP";

		if (want->iptables[f])
			good &= look_at_text(
			    what, now->iptables[f], ought.iptables[f]);
		else if (now->iptables[f])
			good = find(false, what, "", "there beside nft's");
	}
	state_clear(&ought);
	return good;
}

static void
look_around(const struct conf *conf)
{
	int64_t left = pending_left();
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < conf->n_listens; i++) {
		int err = sock_probe(&conf->listens[i]);

		find(true, "listener", addr_format(&conf->listens[i], text),
		    !err		     ? "nobody listens"
			: err == -EADDRINUSE ? "somebody listens"
					     : strerror(-err));
	}
	if (left < 0)
		printf("confirm: nothing waits for it\n");
	else
		printf("confirm: waited for, %lld s more\n",
		    (long long)(left + 999) / 1000);
}

static enum state_backend
backend_of(const struct state *now)
{
	if (now->nft)
		return STATE_NFT;
	return now->iptables[0] || now->iptables[1] ? STATE_IPTABLES
						    : state_choose_backend();
}

int
firewall_status(const struct conf *conf)
{
	unsigned table = (unsigned)conf->firewall.table;
	struct state now = { 0 }, want = { 0 }, theirs = { 0 };
	bool good = false;
	char *said;
	int err = state_read(&now, &theirs, table, &said);

	if (!err)
		err = state_want(&want, conf, backend_of(&now), &now);
	if (err) {
		fprintf(stderr, "unatatp: firewall: %s\n",
		    said ? said : strerror(-err));
	} else {
		good = look_at_filter(&now, &want);
		if (!state_serves_family(1))
			printf("IPv6: turned off here, so nothing is wanted\n");
		for (size_t f = 0; f < STATE_FAMILIES; f++) {
			good &= look_at_lines(f, "rule", &want.rules[f],
			    &now.rules[f], &theirs.rules[f]);
			good &= look_at_lines(f, "route", &want.routes[f],
			    &now.routes[f], &theirs.routes[f]);
		}
		look_around(conf);
	}
	free(said);
	state_clear(&now);
	state_clear(&want);
	state_clear(&theirs);
	return good ? 0 : -1;
}
