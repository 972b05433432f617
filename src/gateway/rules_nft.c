/* The rules for nft: one table of our own. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "gateway/match.h"
#include "gateway/rules.h"

#define LINE_ELEMENTS 4 /* a longer list becomes a named set */

struct writer {
	FILE *out;
	const struct conf *conf;
	char *interfaces;     /* { "wg0", "lan0" } */
	const char *wildcard; /* what keeps listeners on any address out */
	uint32_t mark, mask, rest;
};

static const struct {
	sa_family_t family;
	const char *word, *proto, *type;
	char digit;
} families[] = {
	{ AF_INET, "ip", "ipv4", "ipv4_addr", '4' },
	{ AF_INET6, "ip6", "ipv6", "ipv6_addr", '6' },
};

#define FAMILIES 2

static int
name_interfaces(struct writer *w)
{
	const struct conf_firewall *f = &w->conf->firewall;
	size_t len;
	FILE *out = open_memstream(&w->interfaces, &len);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_interfaces; i++)
		fprintf(
		    out, "%s\"%s\"", i ? ", " : "{ ", f->interfaces[i].name);
	fprintf(out, " }");
	return fclose(out) ? -ENOMEM : 0;
}

/* --- sets ---------------------------------------------------------- */

static void
write_elements(struct writer *w, const struct match *m, const char *between)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < m->n; i++)
		fprintf(w->out, "%s%s", i ? between : "",
		    prefix_format(&m->prefixes[i], text));
}

static void
write_set(struct writer *w, const struct policy *p, const char *side,
    size_t family, const struct match *m)
{
	if (m->n <= LINE_ELEMENTS)
		return;
	fprintf(w->out,
	    "\tset %s%u_%c {\n\t\ttype %s\n\t\tflags interval\n"
	    "\t\telements = { ",
	    side, p->index, families[family].digit, families[family].type);
	write_elements(w, m, ",\n\t\t\t");
	fprintf(w->out, " }\n\t}\n");
}

static void
write_match(struct writer *w, const struct policy *p, const char *side,
    size_t family, const struct match *m)
{
	const char *word = families[family].word;

	if (!m->n)
		return;
	fprintf(w->out, "%s %saddr ", word, side);
	if (m->n > LINE_ELEMENTS) {
		fprintf(w->out, "@%s%u_%c ", side, p->index,
		    families[family].digit);
		return;
	}
	fprintf(w->out, m->n > 1 ? "{ " : "");
	write_elements(w, m, ", ");
	fprintf(w->out, m->n > 1 ? " } " : " ");
}

/* --- policies ------------------------------------------------------ */

static void
write_ports(struct writer *w, const struct policy *p)
{
	if (!p->n_ports)
		return;
	fprintf(w->out, "tcp dport { ");
	for (size_t i = 0; i < p->n_ports; i++) {
		fprintf(w->out, "%s%u", i ? ", " : "", p->ports[i].first);
		if (p->ports[i].last != p->ports[i].first)
			fprintf(w->out, "-%u", p->ports[i].last);
	}
	fprintf(w->out, " } ");
}

static const char *
verdict(const struct policy *p)
{
	switch (p->action) {
	case CONF_BYPASS:
		return "return";
	case CONF_REJECT:
		return "goto refuse";
	default:
		return "goto take_new";
	}
}

/* Calls FN for each family that P can meet, with what it matches there. */
static int
each_family(struct writer *w, const struct policy *p,
    void (*fn)(struct writer *w, const struct policy *p, size_t family,
	const struct match *src, const struct match *dst))
{
	int err = 0;

	for (size_t i = 0; !err && i < FAMILIES; i++) {
		struct match src = { 0 }, dst = { 0 };
		sa_family_t family = families[i].family;

		err = match_make(&src, p->sources, p->n_sources, family);
		if (!err)
			err = match_make(
			    &dst, p->destinations, p->n_destinations, family);
		if (!err && !src.never && !dst.never)
			fn(w, p, i, &src, &dst);
		match_clear(&src);
		match_clear(&dst);
	}
	return err;
}

static void
write_sets(struct writer *w, const struct policy *p, size_t family,
    const struct match *src, const struct match *dst)
{
	write_set(w, p, "s", family, src);
	write_set(w, p, "d", family, dst);
}

static void
write_policy(struct writer *w, const struct policy *p, size_t family,
    const struct match *src, const struct match *dst)
{
	fprintf(w->out, "\t\t");
	if (!src->n && !dst->n)
		fprintf(w->out, "meta nfproto %s ", families[family].proto);
	write_match(w, p, "s", family, src);
	write_match(w, p, "d", family, dst);
	write_ports(w, p);
	fprintf(w->out, "%s\n", verdict(p));
}

static int
write_policies(struct writer *w)
{
	size_t n = match_decisive(w->conf);
	int err = 0;

	for (size_t i = 0; !err && i < n; i++) {
		const struct policy *p = &w->conf->policies[i];

		fprintf(w->out, "\t\t# policy %s\n", p->name);
		if (p->n_sources || p->n_destinations) {
			err = each_family(w, p, write_policy);
		} else {
			fprintf(w->out, "\t\t");
			write_ports(w, p);
			fprintf(w->out, "%s\n", verdict(p));
		}
	}
	return err;
}

/* --- chains -------------------------------------------------------- */

/* What a client's own address as the source asks for: see unatatp.conf(5). */
static void
write_transparent(struct writer *w)
{
	unsigned zone = RULES_ZONE(w->conf);

	fprintf(w->out,
	    "\t# Both legs have the same addresses and ports: a\n"
	    "\t# conntrack zone of their own keeps the server legs apart.\n"
	    "\tchain zone_out {\n"
	    "\t\ttype filter hook output priority raw; "
	    "policy accept;\n"
	    "\t\toifname != %s meta l4proto tcp fib saddr type != local "
	    "ct zone set %u\n"
	    "\t}\n"
	    "\tchain zone_in {\n"
	    "\t\ttype filter hook prerouting priority raw; "
	    "policy accept;\n"
	    "\t\tiifname != %s meta l4proto { tcp, icmp, ipv6-icmp } "
	    "socket transparent 1 %sct zone set %u\n"
	    "\t}\n"
	    "\t# No masquerading of these: translated to what they are.\n"
	    "\tchain keep_source {\n"
	    "\t\ttype nat hook postrouting priority srcnat - 1; "
	    "policy accept;\n"
	    "\t\tct zone %u meta nfproto ipv4 snat ip to ip saddr\n"
	    "\t\tct zone %u meta nfproto ipv6 snat ip6 to ip6 saddr\n"
	    "\t}\n",
	    w->interfaces, zone, w->interfaces, w->wildcard, zone, zone, zone);
}

static void
write_prerouting(struct writer *w)
{
	fprintf(w->out,
	    "\tchain prerouting {\n"
	    "\t\ttype filter hook prerouting priority mangle; "
	    "policy accept;\n");
	if (match_transparent(w->conf))
		fprintf(w->out,
		    "\t\t# What comes back to a socket with a client's "
		    "address.\n"
		    "\t\tiifname != %s ct zone %u goto divert\n",
		    w->interfaces, RULES_ZONE(w->conf));
	fprintf(w->out,
	    "\t\tiifname %s meta l4proto { tcp, icmp, ipv6-icmp } "
	    "jump from_clients\n"
	    "\t}\n",
	    w->interfaces);
}

static int
write_from_clients(struct writer *w)
{
	int err;

	fprintf(w->out,
	    "\tchain from_clients {\n"
	    "\t\t# A packet of a connection that unatatp holds, or an error\n"
	    "\t\t# about one (path MTU). SYNs are new connections.\n"
	    "\t\tmeta l4proto != tcp socket transparent 1 %sgoto divert\n"
	    "\t\tmeta l4proto != tcp return\n"
	    "\t\ttcp flags & (fin | syn | rst | ack) != syn "
	    "socket transparent 1 %sgoto divert\n"
	    "\t\t# What is meant for this machine itself (ssh!).\n"
	    "\t\tfib daddr type local return\n"
	    "\t\ttcp flags & (fin | syn | rst | ack) == syn goto new_flow\n"
	    "\t\t# A later packet of a SYN that was taken: SYN cookies.\n"
	    "\t\tct mark & 0x%x == 0x%x goto take_later\n"
	    "\t}\n"
	    "\tchain new_flow {\n",
	    w->wildcard, w->wildcard, w->mask, w->mark);
	err = write_policies(w);
	fprintf(w->out, "\t\tgoto take_new\n\t}\n");
	return err;
}

static void
write_tproxy(struct writer *w)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	for (size_t i = 0; i < FAMILIES; i++) {
		const char *word = families[i].word;

		if (!match_listen(w->conf, families[i].family, &a))
			continue;
		if (addr_is_any(&a))
			snprintf(text, sizeof(text), ":%u", addr_port(&a));
		else
			addr_format(&a, text);
		fprintf(w->out,
		    "\t\tmeta nfproto %s meta l4proto tcp tproxy %s to %s "
		    "goto divert_new\n",
		    families[i].proto, word, text);
	}
}

/* A family that the file has no listener for goes by. */
static void
write_unheard(struct writer *w)
{
	struct addr a;

	for (size_t i = 0; i < FAMILIES; i++)
		if (!match_listen(w->conf, families[i].family, &a))
			fprintf(w->out, "\t\tmeta nfproto %s return\n",
			    families[i].proto);
}

static void
write_takers(struct writer *w)
{
	fprintf(w->out, "\tchain take_new {\n");
	write_unheard(w);
	fprintf(w->out, "\t\t# Where nobody listens, tproxy ends its rule.\n");
	write_tproxy(w);
	if (w->conf->firewall.when_down == CONF_DOWN_DROP)
		fprintf(w->out, "\t\tdrop\n");
	else
		fprintf(w->out,
		    "\t\t# unatatp is down: this connection goes without it.\n"
		    "\t\tct mark set ct mark & 0x%08x\n",
		    w->rest);
	fprintf(w->out, "\t}\n\tchain take_later {\n");
	write_tproxy(w);
	fprintf(w->out,
	    "\t\t# unatatp is down and the connection with it.\n"
	    "\t\treject with tcp reset\n"
	    "\t}\n"
	    "\tchain divert_new {\n"
	    "\t\tct mark set ct mark & 0x%08x | 0x%x\n"
	    "\t\tgoto divert\n"
	    "\t}\n"
	    "\tchain divert {\n"
	    "\t\tmeta mark set meta mark & 0x%08x | 0x%x\n"
	    "\t\taccept\n"
	    "\t}\n",
	    w->rest, w->mark, w->rest, w->mark);
}

static bool
hears_all(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		if (addr_is_any(&conf->listens[i]))
			return true;
	return false;
}

int
rules_nft(const struct conf *conf, FILE *out)
{
	struct writer w = {
		.out = out,
		.conf = conf,
		.wildcard = hears_all(conf) ? "socket wildcard 0 " : "",
		.mark = (uint32_t)conf->firewall.mark,
		.mask = (uint32_t)conf->firewall.mask,
		.rest = ~(uint32_t)conf->firewall.mask,
	};
	size_t n = match_decisive(conf);
	int err = name_interfaces(&w);

	if (err)
		return err;
	fprintf(out, "table inet unatatp {\n");
	for (size_t i = 0; !err && i < n; i++)
		err = each_family(&w, &conf->policies[i], write_sets);
	if (match_transparent(conf))
		write_transparent(&w);
	write_prerouting(&w);
	if (!err)
		err = write_from_clients(&w);
	if (match_rejects(conf))
		fprintf(
		    out, "\tchain refuse {\n\t\treject with tcp reset\n\t}\n");
	write_takers(&w);
	fprintf(out, "}\n");
	free(w.interfaces);
	return err;
}
