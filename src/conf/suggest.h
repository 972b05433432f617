/*
 * suggest: the "did you mean" of the messages. Offer it every word that
 * would have been right; it keeps the one that looks most like the wrong
 * one, if any looks like it at all. Keeps pointers to what it is offered.
 */
#ifndef UNATATP_CONF_SUGGEST_H
#define UNATATP_CONF_SUGGEST_H

struct suggest {
	const char *word; /* the wrong one */
	const char *best; /* NULL: nothing near yet */
	unsigned distance;
};

struct suggest suggest_for(const char *word);
void suggest_offer(struct suggest *s, const char *candidate);

#endif
