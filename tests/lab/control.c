#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

#define WORDS 32

enum kind { RATE, BYTES, TIME, CHANCE, NUMBER };

static const struct {
	const char *name;
	enum kind kind;
	size_t at;
} keys[] = {
	{ "rate", RATE, offsetof(struct wire, rate) },
	{ "delay", TIME, offsetof(struct wire, delay) },
	{ "jitter", TIME, offsetof(struct wire, jitter) },
	{ "queue", BYTES, offsetof(struct wire, limit) },
	{ "loss", CHANCE, offsetof(struct wire, loss.good) },
	{ "loss_bad", CHANCE, offsetof(struct wire, loss.bad) },
	{ "to_bad", CHANCE, offsetof(struct wire, loss.to_bad) },
	{ "to_good", CHANCE, offsetof(struct wire, loss.to_good) },
	{ "seed", NUMBER, offsetof(struct wire, loss.seed) },
};

/* What a kind is counted in, and what its number may be. */
static const struct kind_of {
	const char *units[4];
	double factors[4];
	double least, most;
} kinds[] = {
	[RATE] = { { "", "K", "M", "G" }, { 1, 1e3, 1e6, 1e9 }, 1e3, 1e11 },
	[BYTES] = { { "", "K", "M" }, { 1, 1024, 1048576 }, WIRE_PACKET, 1e9 },
	[TIME] = { { "s", "ms", "us" }, { 1e9, 1e6, 1e3 }, 0, 60e9 },
	[CHANCE] = { { "", "%" }, { 1, 0.01 }, 0, 1 },
	[NUMBER] = { { "" }, { 1 }, 0, 9e15 },
};

uint64_t
link_drops(const struct link *l)
{
	return tun_drops(&l->ends[LINK_UP]) + tun_drops(&l->ends[LINK_DOWN]);
}

/* TEXT as a number of its kind. 0, or -1 when it is none. */
static int
parse(const char *text, enum kind kind, double *value)
{
	const struct kind_of *k = &kinds[kind];
	char *unit;

	*value = strtod(text, &unit);
	if (unit == text)
		return -1;
	for (size_t i = 0; i < 4 && k->units[i]; i++) {
		if (strcmp(unit, k->units[i]) == 0) {
			*value *= k->factors[i];
			return *value >= k->least && *value <= k->most ? 0 : -1;
		}
	}
	return -1;
}

/* One "key=value" of one direction. 0, or -1. */
static int
set(struct wire *w, const char *word)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t n = strlen(keys[i].name);
		void *field = (char *)w + keys[i].at;
		double value;

		if (strncmp(word, keys[i].name, n) != 0 || word[n] != '=')
			continue;
		if (parse(word + n + 1, keys[i].kind, &value))
			return -1;
		if (keys[i].kind == RATE || keys[i].kind == CHANCE)
			*(double *)field = value;
		else
			*(uint64_t *)field = (uint64_t)value;
		return 0;
	}
	return -1;
}

/* What a word may set of a wire, and no list that is under way. */
static void
adopt(struct wire *w, const struct wire *with)
{
	struct loss loss = with->loss;

	loss.index = w->loss.index;
	loss.is_bad = w->loss.is_bad;
	w->rate = with->rate;
	w->delay = with->delay;
	w->jitter = with->jitter;
	w->limit = with->limit;
	w->loss = loss;
}

const char *
control_apply(struct link *l, char *words[], size_t n)
{
	static char wrong[200];
	struct wire trial[LINK_WAYS] = { l->wires[LINK_UP],
		l->wires[LINK_DOWN] };
	bool up = true, down = true;

	for (size_t i = 0; i < n; i++) {
		bool both = strcmp(words[i], "both") == 0;

		if (both || !strcmp(words[i], "up") ||
		    !strcmp(words[i], "down")) {
			up = both || words[i][0] == 'u';
			down = both || words[i][0] == 'd';
			continue;
		}
		if ((up && set(&trial[LINK_UP], words[i])) ||
		    (down && set(&trial[LINK_DOWN], words[i]))) {
			snprintf(wrong, sizeof(wrong), "not a setting: %s",
			    words[i]);
			return wrong;
		}
	}
	for (int i = 0; i < LINK_WAYS; i++)
		adopt(&l->wires[i], &trial[i]);
	return NULL;
}

static void
answer(json_t *json)
{
	if (json_dumpf(json, stdout, JSON_COMPACT) < 0)
		fputs("{\"error\": \"no memory\"}", stdout);
	putchar('\n');
	fflush(stdout);
	json_decref(json);
}

static json_t *
wire_json(const struct wire *w)
{
	const struct wire_counts *c = &w->counts;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packets",
	    (json_int_t)c->packets, "bytes", (json_int_t)c->bytes, "lost",
	    (json_int_t)c->lost, "dropped", (json_int_t)c->dropped, "delivered",
	    (json_int_t)c->delivered, "delivered_bytes",
	    (json_int_t)c->out_bytes, "queue_max", (json_int_t)c->queue_max,
	    "queue", (json_int_t)c->queue_now);
}

static json_t *
on_stats(struct link *l)
{
	json_t *all = tally_json(&l->tally, link_drops(l));

	json_object_set_new(all, "up", wire_json(&l->wires[LINK_UP]));
	json_object_set_new(all, "down", wire_json(&l->wires[LINK_DOWN]));
	return all;
}

static json_t *
on_reset(struct link *l)
{
	wire_reset(&l->wires[LINK_UP]);
	wire_reset(&l->wires[LINK_DOWN]);
	tally_reset(&l->tally, link_drops(l));
	return json_pack("{s:b}", "ok", 1);
}

void
control_line(struct link *l, char *line)
{
	char *words[WORDS], *rest = line;
	const char *wrong;
	size_t n = 0;

	while (n < WORDS && (words[n] = strtok_r(rest, " \t\r\n", &rest)))
		n++;
	if (n == 1 && strcmp(words[0], "stats") == 0) {
		answer(on_stats(l));
	} else if (n == 1 && strcmp(words[0], "reset") == 0) {
		answer(on_reset(l));
	} else if (n > 1 && strcmp(words[0], "set") == 0) {
		wrong = control_apply(l, words + 1, n - 1);
		answer(wrong ? json_pack("{s:s}", "error", wrong)
			     : json_pack("{s:b}", "ok", 1));
	} else {
		answer(json_pack("{s:s}", "error", "say set, reset or stats"));
	}
}
