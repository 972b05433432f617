/* The rules for iptables and ip6tables: chains of our own. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "gateway/match.h"
#include "gateway/recent.h"
#include "gateway/rules.h"

#define RULES_MAX 4096	 /* of one policy */
#define MULTIPORT_MAX 15 /* ports that one rule can name; a range is two */

/* Without an answer for so long the daemon is taken for gone ... */
#define SILENCE_SECONDS 1
/* ... and asked again after so long. */
#define AGAIN_SECONDS 5

struct writer {
	FILE *out;
	const struct conf *conf;
	sa_family_t family;
	rules_comment *comment;
	void *arg;
	char mark[48];	  /* "0x100/0xf00" */
	const char *icmp; /* the protocol's name */
	char recent[64];  /* the one entry of a list of our own */
};

static void
each_interface(struct writer *w, const char *chain, char side, const char *rest)
{
	const struct conf_firewall *f = &w->conf->firewall;

	for (size_t i = 0; i < f->n_interfaces; i++)
		fprintf(w->out, "-A %s -%c %s %s\n", chain, side,
		    f->interfaces[i].name, rest);
}

static void
lead(struct writer *w, const char *table, const char *from, const char *to)
{
	const char *comment = w->comment(w->arg, table, from);

	fprintf(w->out, "-A %s ", from);
	if (*comment)
		fprintf(w->out, RULES_COMMENTED "%s\" ", comment);
	fprintf(w->out, "-j %s\n", to);
}

/* --- policies ------------------------------------------------------ */

/* Writes the ports from I on that one rule can name; the next one's place. */
static size_t
write_ports(struct writer *w, const struct policy *p, size_t i)
{
	const char *before = "-m multiport --dports ";
	size_t room = MULTIPORT_MAX;

	for (; i < p->n_ports; i++) {
		const struct conf_ports *ports = &p->ports[i];
		bool range = ports->first != ports->last;

		if (room < (range ? 2u : 1u))
			break;
		room -= range ? 2 : 1;
		fprintf(w->out, "%s%u", before, ports->first);
		if (range)
			fprintf(w->out, ":%u", ports->last);
		before = ",";
	}
	fputc(' ', w->out);
	return i;
}

static void
write_prefix(struct writer *w, const struct match *m, size_t i, char side)
{
	char text[PREFIX_TEXT_MAX];

	if (m->n)
		fprintf(w->out, "-%c %s ", side,
		    prefix_format(&m->prefixes[i], text));
}

static void
write_rule(struct writer *w, const struct policy *p, const char *chain,
    const char *verdict, const struct match *src, size_t s,
    const struct match *dst, size_t d)
{
	size_t port = 0;

	do {
		fprintf(w->out, "-A %s -p tcp ", chain);
		write_prefix(w, src, s, 's');
		write_prefix(w, dst, d, 'd');
		if (p->n_ports)
			port = write_ports(w, p, port);
		fprintf(w->out, "%s\n", verdict);
	} while (port < p->n_ports);
}

static int
write_policy(struct writer *w, const struct policy *p, const char *chain,
    const char *verdict, const struct match *src, const struct match *dst)
{
	size_t n_src = src->n ? src->n : 1, n_dst = dst->n ? dst->n : 1;

	if (src->never || dst->never)
		return 0;
	if (n_src > RULES_MAX || n_dst > RULES_MAX || n_src * n_dst > RULES_MAX)
		return -E2BIG;
	for (size_t s = 0; s < n_src; s++)
		for (size_t d = 0; d < n_dst; d++)
			write_rule(w, p, chain, verdict, src, s, dst, d);
	return 0;
}

/* Every policy into CHAIN, with the verdict for each enum conf_action. */
static int
write_policies(
    struct writer *w, const char *chain, const char *const verdicts[])
{
	size_t n = match_decisive(w->conf);
	int err = 0;

	for (size_t i = 0; !err && i < n; i++) {
		const struct policy *p = &w->conf->policies[i];
		struct match src = { 0 }, dst = { 0 };

		err = match_make(&src, p->sources, p->n_sources, w->family);
		if (!err)
			err = match_make(&dst, p->destinations,
			    p->n_destinations, w->family);
		if (!err)
			err = write_policy(
			    w, p, chain, verdicts[p->action], &src, &dst);
		match_clear(&src);
		match_clear(&dst);
		if (err == -E2BIG)
			fprintf(stderr,
			    "unatatp: firewall: the lists of policy \"%s\" "
			    "multiply to more than %d rules of iptables: use "
			    "nft, or shorter lists\n",
			    p->name, RULES_MAX);
	}
	return err;
}

/* --- mangle -------------------------------------------------------- */

static void
write_tproxy(struct writer *w, const char *chain, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	fprintf(w->out, "-A %s -p tcp -j TPROXY --on-port %u ", chain,
	    addr_port(a));
	if (!addr_is_any(a))
		fprintf(w->out, "--on-ip %s ", addr_format_host(a, text));
	fprintf(w->out, "--tproxy-mark %s\n", w->mark);
}

/*
 * TPROXY drops what nobody listens for, so the rules have to know before.
 * A list with one entry at most remembers a SYN that was handed over and
 * not answered: the answer takes it out (write_out). An entry of some age
 * means that nobody is there: connections then go by, until it is time to
 * hand over a SYN again and see, or a daemon that starts empties the list
 * (recent.h).
 */
static void
write_detour(struct writer *w)
{
	fprintf(w->out,
	    "-A UNATATP_TAKE -m recent --rcheck --seconds %d %s "
	    "-m recent ! --rcheck --seconds %d %s -j RETURN\n"
	    "-A UNATATP_TAKE -m recent ! --rcheck --seconds %d %s "
	    "-m recent --set %s\n",
	    AGAIN_SECONDS, w->recent, SILENCE_SECONDS, w->recent, AGAIN_SECONDS,
	    w->recent, w->recent);
}

static void
write_takers(struct writer *w)
{
	struct addr a;

	if (match_listen(w->conf, w->family, &a)) {
		if (w->conf->firewall.when_down == CONF_DOWN_FORWARD)
			write_detour(w);
		fprintf(w->out, "-A UNATATP_TAKE -j CONNMARK --set-xmark %s\n",
		    w->mark);
		write_tproxy(w, "UNATATP_TAKE", &a);
		write_tproxy(w, "UNATATP_LATER", &a);
	}
	fprintf(w->out,
	    "-A UNATATP_DIVERT -j MARK --set-xmark %s\n"
	    "-A UNATATP_DIVERT -j ACCEPT\n",
	    w->mark);
}

static void
write_in(struct writer *w)
{
	each_interface(w, "UNATATP", 'i', "-g UNATATP_IN");
	if (match_transparent(w->conf))
		fprintf(w->out,
		    "-A UNATATP -p tcp -m socket --transparent "
		    "-j UNATATP_DIVERT\n"
		    "-A UNATATP -p %s -m socket --transparent "
		    "-j UNATATP_DIVERT\n",
		    w->icmp);
	fprintf(w->out,
	    "-A UNATATP_IN -p %s -m socket --transparent -j UNATATP_DIVERT\n"
	    "-A UNATATP_IN ! -p tcp -j RETURN\n"
	    "-A UNATATP_IN -p tcp ! --syn -m socket --transparent "
	    "-j UNATATP_DIVERT\n"
	    "-A UNATATP_IN -m addrtype --dst-type LOCAL -j RETURN\n"
	    "-A UNATATP_IN -p tcp --syn -g UNATATP_NEW\n"
	    "-A UNATATP_IN -m connmark --mark %s -j UNATATP_LATER\n",
	    w->icmp, w->mark);
}

/* Answers to clients, and server legs with a client's address. */
static void
write_out(struct writer *w)
{
	bool forward = w->conf->firewall.when_down == CONF_DOWN_FORWARD;
	char rest[192];

	if (!forward && !match_transparent(w->conf))
		return;
	snprintf(rest, sizeof(rest),
	    "-p tcp --tcp-flags SYN,ACK SYN,ACK -m addrtype ! --src-type "
	    "LOCAL -m recent --remove %s",
	    w->recent);
	fprintf(w->out, ":UNATATP_OUT - [0:0]\n");
	if (forward)
		each_interface(w, "UNATATP_OUT", 'o', rest);
	if (match_transparent(w->conf)) {
		each_interface(w, "UNATATP_OUT", 'o', "-j RETURN");
		fprintf(w->out,
		    "-A UNATATP_OUT -p tcp -m addrtype ! --src-type LOCAL "
		    "-j CONNMARK --set-xmark %s\n",
		    w->mark);
	}
	lead(w, "mangle", "OUTPUT", "UNATATP_OUT");
}

static int
write_mangle(struct writer *w)
{
	/* What is refused is refused on its way on: see write_refusal. */
	static const char *const verdicts[] = {
		[CONF_PROXY] = "-g UNATATP_TAKE",
		[CONF_REJECT] = "-j RETURN",
		[CONF_BYPASS] = "-j RETURN",
	};
	int err;

	fprintf(w->out,
	    "*mangle\n"
	    ":UNATATP - [0:0]\n"
	    ":UNATATP_IN - [0:0]\n"
	    ":UNATATP_NEW - [0:0]\n"
	    ":UNATATP_TAKE - [0:0]\n"
	    ":UNATATP_LATER - [0:0]\n"
	    ":UNATATP_DIVERT - [0:0]\n");
	write_in(w);
	err = write_policies(w, "UNATATP_NEW", verdicts);
	fprintf(w->out, "-A UNATATP_NEW -g UNATATP_TAKE\n");
	write_takers(w);
	lead(w, "mangle", "PREROUTING", "UNATATP");
	write_out(w);
	fprintf(w->out, "COMMIT\n");
	return err;
}

/* --- the other tables ---------------------------------------------- */

/* REJECT works in filter only. */
static int
write_refusal(struct writer *w)
{
	static const char *const verdicts[] = {
		[CONF_PROXY] = "-j RETURN",
		[CONF_REJECT] = "-j REJECT --reject-with tcp-reset",
		[CONF_BYPASS] = "-j RETURN",
	};
	int err;

	if (!match_rejects(w->conf))
		return 0;
	fprintf(w->out,
	    "*filter\n"
	    ":UNATATP - [0:0]\n"
	    ":UNATATP_NEW - [0:0]\n");
	each_interface(w, "UNATATP", 'i', "-p tcp --syn -j UNATATP_NEW");
	err = write_policies(w, "UNATATP_NEW", verdicts);
	lead(w, "filter", "FORWARD", "UNATATP");
	fprintf(w->out, "COMMIT\n");
	return err;
}

/* A zone for server legs with a client's address, and no masquerading. */
static void
write_transparent(struct writer *w)
{
	unsigned zone = RULES_ZONE(w->conf);

	if (!match_transparent(w->conf))
		return;
	fprintf(w->out,
	    "*raw\n"
	    ":UNATATP - [0:0]\n"
	    ":UNATATP_OUT - [0:0]\n");
	each_interface(w, "UNATATP", 'i', "-j RETURN");
	fprintf(w->out,
	    "-A UNATATP -p tcp -m socket --transparent -j CT --zone %u\n"
	    "-A UNATATP -p %s -m socket --transparent -j CT --zone %u\n",
	    zone, w->icmp, zone);
	each_interface(w, "UNATATP_OUT", 'o', "-j RETURN");
	fprintf(w->out,
	    "-A UNATATP_OUT -p tcp -m addrtype ! --src-type LOCAL "
	    "-j CT --zone %u\n",
	    zone);
	lead(w, "raw", "PREROUTING", "UNATATP");
	lead(w, "raw", "OUTPUT", "UNATATP_OUT");
	fprintf(w->out, "COMMIT\n*nat\n:UNATATP - [0:0]\n");
	each_interface(w, "UNATATP", 'o', "-j RETURN");
	fprintf(w->out, "-A UNATATP -p tcp -m connmark --mark %s -j ACCEPT\n",
	    w->mark);
	lead(w, "nat", "POSTROUTING", "UNATATP");
	fprintf(w->out, "COMMIT\n");
}

int
rules_iptables(const struct conf *conf, sa_family_t family,
    rules_comment *comment, void *arg, FILE *out)
{
	bool v6 = family == AF_INET6;
	struct writer w = {
		.out = out,
		.conf = conf,
		.family = family,
		.comment = comment,
		.arg = arg,
		.icmp = v6 ? "ipv6-icmp" : "icmp",
	};
	int err;

	snprintf(w.mark, sizeof(w.mark), "0x%" PRIx64 "/0x%" PRIx64,
	    conf->firewall.mark, conf->firewall.mask);
	snprintf(w.recent, sizeof(w.recent), "--name %s --mask %s --rsource",
	    v6 ? RECENT_IPV6 : RECENT_IPV4, v6 ? "::" : "0.0.0.0");
	write_transparent(&w);
	err = write_mangle(&w);
	return err ? err : write_refusal(&w);
}
