#include "doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"

struct row {
	const char *id, *title;
	void (*run)(struct check *c);
	int family;
};

/* clang-format off */
#define BOTH(id, title, run) \
	{ id "-ipv4", title ", IPv4", run, 4 }, \
	{ id "-ipv6", title ", IPv6", run, 6 }

static const struct row rows[] = {
	{ "kernel-tproxy", "the kernel has TPROXY", check_kernel_tproxy, 0 },
	{ "kernel-socket", "the kernel can match sockets",
	    check_kernel_socket, 0 },
	{ "interfaces", "the clients' interfaces exist", check_interfaces, 0 },
	{ "interface-up", "the clients' interfaces are up",
	    check_interface_up, 0 },
	BOTH("listener", "somebody listens", check_listener),
	{ "listener-owner", "it is unatatp that listens",
	    check_listener_owner, 0 },
	{ "loaded", "the file is what the daemon runs with", check_loaded, 0 },
	BOTH("prerouting-drop", "no rule drops before the capture",
	    check_prerouting),
	BOTH("capture", "new connections are captured", check_capture),
	BOTH("capture-target", "what is captured goes to a listener",
	    check_capture_target),
	BOTH("capture-mark", "what is captured is marked", check_capture_mark),
	BOTH("established", "later packets reach their socket",
	    check_established),
	BOTH("syn-cookies", "answers to SYN cookies are captured",
	    check_syn_cookies),
	BOTH("own-address", "the gateway's own services are left alone",
	    check_own_address),
	BOTH("rule", "a rule sends marked packets to the table", check_rule),
	BOTH("rule-order", "no earlier rule takes marked packets",
	    check_rule_order),
	BOTH("rule-iif", "the rule names the interface", check_rule_iif),
	BOTH("rule-clash", "no other rule uses the mark", check_rule_clash),
	BOTH("route", "the table delivers to this machine", check_route),
	BOTH("route-other", "no other route is in the table",
	    check_route_other),
	{ "src-valid-mark", "marked packets are no martians",
	    check_src_valid_mark, 4 },
	{ "rp-filter", "the reverse path filter lets clients in",
	    check_rp_filter, 4 },
	{ "tcp-fwmark-accept", "answers do not bear the mark",
	    check_fwmark_accept, 0 },
	{ "ip-forward", "the gateway forwards, IPv4", check_forwarding, 4 },
	{ "ipv6-forwarding", "the gateway forwards, IPv6",
	    check_forwarding, 6 },
	{ "bridge-netfilter", "bridged frames do not meet the rules",
	    check_bridge, 0 },
	BOTH("notrack", "connections are tracked", check_notrack),
	BOTH("redirect", "no NAT rewrites what is captured", check_redirect),
	BOTH("input", "the input rules let captured packets in", check_input),
	BOTH("output", "the output rules let unatatp dial", check_output),
	BOTH("forward", "proxied flows miss no FORWARD filter", check_forward),
	BOTH("masquerade", "no masquerading undoes the source",
	    check_masquerade),
	BOTH("return", "answers to a client's address come back",
	    check_return),
	BOTH("return-rule", "a rule sends them to the table",
	    check_return_rule),
	{ "source-allowed", "unatatp may use clients' addresses",
	    check_source_allowed, 0 },
	{ "mark-clash", "no other rule sets the mark's bits",
	    check_mark_clash, 0 },
	{ "conntrack-mark-clash", "no other rule sets the connection mark's",
	    check_conntrack_mark, 0 },
	{ "congestion", "the congestion algorithms are there",
	    check_congestion, 0 },
	{ "congestion-allowed", "unatatp may use them",
	    check_congestion_allowed, 0 },
	{ "tcp-rmem", "receive windows can fill the link", check_rmem, 0 },
	{ "tcp-wmem", "send buffers can fill the link", check_wmem, 0 },
	{ "link-buffers", "the file's buffers can fill the link",
	    check_link_options, 0 },
	{ "initial-window", "larger initial windows take effect",
	    check_initial_window, 0 },
	{ "descriptors", "descriptors suffice for the flows",
	    check_descriptors, 0 },
	{ "conntrack", "there is room in the connection table",
	    check_conntrack, 0 },
	{ "local-ports", "there are local ports enough", check_ports, 0 },
	{ "reserved-port", "nobody else is given the listener's port",
	    check_reserved_port, 0 },
};

static const struct row probes[] = {
	BOTH("probe", "a connection gets through and back", check_probe),
};
/* clang-format on */

#define PROBES (sizeof(probes) / sizeof(*probes))
#define ROWS (sizeof(rows) / sizeof(*rows))

static const char *const words[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_UNKNOWN] = "unknown",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_FAILURE] = "failure",
};

const char *
doctor_word(enum doctor_verdict verdict)
{
	return words[verdict];
}

/* TO with the formatted text behind it, unless it is there already. */
__attribute__((format(printf, 4, 0))) static const char *
append(struct check *c, const char *to, const char *between, const char *format,
    va_list args)
{
	const char *longer = to;
	char *text;

	/* Not on the stack: a rule in JSON may be long. */
	if (vasprintf(&text, format, args) < 0)
		return to;
	if (!strstr(to, text))
		longer = arena_printf(
		    c->facts->arena, "%s%s%s", to, *to ? between : "", text);
	free(text);
	return longer;
}

void
check_say(struct check *c, enum doctor_verdict verdict, const char *format, ...)
{
	struct doctor_result *r = c->result;
	va_list args;

	va_start(args, format);
	r->finding = append(c, r->finding, "; ", format, args);
	va_end(args);
	if (verdict > r->verdict)
		r->verdict = verdict;
}

void
check_looked(struct check *c, const char *format, ...)
{
	struct doctor_result *r = c->result;
	va_list args;

	va_start(args, format);
	r->looked_at = append(c, r->looked_at, ", ", format, args);
	va_end(args);
}

void
check_mend(struct check *c, const char *format, ...)
{
	struct doctor_result *r = c->result;
	va_list args;

	va_start(args, format);
	r->mend = append(c, r->mend, "\n", format, args);
	va_end(args);
}

const char *
check_ip(const struct check *c)
{
	return c->family == 6 ? "ip -6" : "ip";
}

const char *
check_file(const struct check *c)
{
	return c->facts->path ? c->facts->path : CONF_DEFAULT_PATH;
}

/* True when there is nothing to look at; that was said. */
static bool
is_moot(struct check *c, const struct row *row)
{
	if (c->family && !facts_listens(c->facts, c->family)) {
		check_looked(c, "listen");
		check_say(c, DOCTOR_OK, "unatatp does not listen on IPv%d",
		    c->family);
		return true;
	}
	/* A file that wants to listen there is a fault: check_listener's. */
	if (c->family != 6 || facts_has_ipv6() || row->run == check_listener)
		return false;
	check_looked(c, "net.ipv6.conf.lo.disable_ipv6");
	check_say(c, DOCTOR_OK, "IPv6 is turned off here");
	return true;
}

static void
run_row(struct doctor *d, struct facts *f, const struct row *row)
{
	struct check c = {
		.facts = f,
		.family = row->family,
		.result = &d->results[d->n_results++],
	};

	*c.result = (struct doctor_result){
		.id = row->id,
		.title = row->title,
		.looked_at = "",
		.finding = "",
		.mend = "",
	};
	if (is_moot(&c, row))
		return;
	row->run(&c);
	if (!*c.result->finding)
		c.result->finding = DOCTOR_AS_IT_SHOULD_BE;
}

void
doctor_run(struct doctor *d, const struct conf *conf, const char *path,
    const struct doctor_wish *link)
{
	struct facts facts;

	*d = (struct doctor){ 0 };
	d->results =
	    arena_alloc(&d->arena, (ROWS + PROBES) * sizeof(*d->results));
	facts_init(&facts, &d->arena, conf, path, link);
	for (size_t i = 0; i < ROWS; i++)
		run_row(d, &facts, &rows[i]);
	for (size_t i = 0; link->probe && i < PROBES; i++)
		run_row(d, &facts, &probes[i]);
	facts_clear(&facts);
}

void
doctor_clear(struct doctor *d)
{
	arena_free(&d->arena);
	*d = (struct doctor){ 0 };
}

enum doctor_verdict
doctor_verdict(const struct doctor *d)
{
	enum doctor_verdict worst = DOCTOR_OK;

	for (size_t i = 0; i < d->n_results; i++)
		if (d->results[i].verdict > worst)
			worst = d->results[i].verdict;
	return worst == DOCTOR_UNKNOWN ? DOCTOR_OK : worst;
}
