#include "conf/option.h"

#include <string.h>

#include "conf/conf.h"
#include "conf/suggest.h"
#include "conf/value.h"

/* clang-format off */
static const struct option_word actions[] = {
	{ "proxy", CONF_PROXY }, { "reject", CONF_REJECT },
	{ "bypass", CONF_BYPASS }, { NULL, 0 }
};
static const struct option_word when_downs[] = {
	{ "forward", CONF_DOWN_FORWARD }, { "drop", CONF_DOWN_DROP },
	{ NULL, 0 }
};
static const struct option_word missings[] = {
	{ "warn", CONF_MISSING_WARN }, { "reject", CONF_MISSING_REJECT },
	{ NULL, 0 }
};
static const struct option_word levels[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { NULL, 0 }
};
static const struct option_word targets[] = {
	{ "auto", LOG_TARGET_AUTO }, { "stderr", LOG_TARGET_STDERR },
	{ "syslog", LOG_TARGET_SYSLOG }, { NULL, 0 }
};
static const struct option_word flow_logs[] = {
	{ "off", CONF_FLOWS_OFF }, { "summary", CONF_FLOWS_SUMMARY },
	{ "json", CONF_FLOWS_JSON }, { NULL, 0 }
};

#define K INT64_C(1024)
#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define YEAR (8760 * HOUR)

/* Scope, type, name, field; initial value, bounds, flags; help. */
#define ROW(in, kind, called, holder, field, start, low, high, more, line) \
	{ .scope = OPTION_IN_##in, .type = OPTION_##kind, .name = called, \
	  .offset = offsetof(struct holder, field), .initial = start, \
	  .min = low, .max = high, .flags = more, .help = line }
#define WORDS(in, called, holder, field, start, list, more, line) \
	{ .scope = OPTION_IN_##in, .type = OPTION_WORD, .name = called, \
	  .offset = offsetof(struct holder, field), .initial = start, \
	  .words = list, .flags = more, .help = line }
#define LIST(in, kind, called, holder, field, start, line) \
	{ .scope = OPTION_IN_##in, .type = OPTION_##kind, .name = called, \
	  .offset = offsetof(struct holder, field), \
	  .count = offsetof(struct holder, n_##field), \
	  .initial = start, .help = line }
/* A group's fields are those of its holder, or of a struct inside it. */
#define GROUP(in, called, at, within, line) \
	{ .scope = OPTION_IN_##in, .type = OPTION_GROUP, .name = called, \
	  .offset = at, .inner = OPTION_IN_##within, .help = line }

const struct option_row option_rows[] = {
LIST(TOP, LISTENS, "listen", conf, listens,
    "( { address = \"127.0.0.1\"; port = 9999; },"
    " { address = \"::1\"; port = 9999; } )",
    "Where TPROXY delivers the clients' connections."),
ROW(TOP, INT, "workers", conf, workers, "0", 0, 1024, OPTION_RESTART,
    "Threads that carry flows; 0: one a CPU."),
ROW(TOP, USER, "user", conf, user, "unatatp", 0, 0, OPTION_RESTART,
    "Who to be once everything is open; empty: stay the caller."),
ROW(TOP, BOOL, "sandbox", conf, sandbox, "true", 0, 0, OPTION_RESTART,
    "Leave to the daemon what it does itself; false: for debuggers."),
GROUP(TOP, "limits", 0, LIMITS, "What the whole daemon may use."),
GROUP(TOP, "timeouts", 0, TIMEOUTS, "Times of the whole daemon."),
GROUP(TOP, "log", 0, LOG, "What is logged, and where to."),
GROUP(TOP, "control", offsetof(struct conf, control), CONTROL,
    "The socket that \"unatatp show\" and its like speak to."),
GROUP(TOP, "metrics", offsetof(struct conf, metrics), METRICS,
    "Prometheus metrics and the status page, by HTTP."),
GROUP(TOP, "firewall", offsetof(struct conf, firewall), FIREWALL,
    "The rules that \"unatatp firewall\" makes."),
LIST(TOP, POLICIES, "policies", conf, policies, "( )",
    "How to treat which flows; the first that matches decides."),

ROW(LISTEN, ADDRESS, "address", option_listen, address, "127.0.0.1", 0, 0, 0,
    "A numeric address of this machine, or 0.0.0.0 or ::."),
ROW(LISTEN, INT, "port", option_listen, port, "9999", 1, 65535, 0,
    "The port that the TPROXY rule names."),

ROW(LIMITS, INT, "flows", conf, limits.flows, "0", 0, 10000000, 0,
    "Flows at a time; 0: what the descriptor limit allows."),
ROW(LIMITS, INT, "flows_per_source", conf, limits.flows_per_source, "0",
    0, 10000000, 0, "Flows of one client (of a /64 in IPv6); 0: no limit."),
ROW(LIMITS, SIZE, "memory", conf, limits.memory, "0",
    K * K, 1024 * K * K * K, OPTION_OR_ZERO,
    "What flows may hold in memory and pipes in all; 0: no limit."),
ROW(LIMITS, BOOL, "evict_idle", conf, limits.evict_idle, "false", 0, 0, 0,
    "true: at a limit the flow silent longest makes room for a new one."),

ROW(TIMEOUTS, DURATION, "drain", conf, timeouts.drain, "30s", 0, 24 * HOUR, 0,
    "After TERM or INT live flows get this long to end."),

WORDS(LOG, "level", conf, log.level, "info", levels, 0,
    "The least important messages to log."),
WORDS(LOG, "target", conf, log.target, "auto", targets, OPTION_RESTART,
    "auto: standard error, or syslog when in the background (-d)."),
WORDS(LOG, "flows", conf, log.flows, "summary", flow_logs, 0,
    "A line for each flow at its end: summary, or json for machines."),
ROW(LOG, INT, "max_per_second", conf, log.max_per_second, "50", 0, 1000000, 0,
    "Lines a second about flows; the rest is counted. 0: no limit."),

ROW(CONTROL, SOCKET, "path", conf_control, path, CONF_CONTROL_PATH,
    0, 0, OPTION_RESTART, "A UNIX socket; empty: none."),
ROW(CONTROL, MODE, "mode", conf_control, mode, "0660", 0, 0,
    OPTION_RESTART, "Who may connect, and so read, as of chmod(1)."),
ROW(CONTROL, USER, "group", conf_control, group, "", 0, 0, OPTION_RESTART,
    "The socket's group; empty: that of \"user\"."),

ROW(METRICS, ENDPOINT, "address", conf_metrics, address, "", 0, 0, 0,
    "A loopback address, or the path of a UNIX socket; empty: off."),
ROW(METRICS, INT, "port", conf_metrics, port, "9477", 1, 65535, 0,
    "The port, where it is an address."),

LIST(FIREWALL, INTERFACES, "interfaces", conf_firewall, interfaces, "[ ]",
    "Where the clients are: \"wg0\"; \"firewall up\" wants one at least."),
ROW(FIREWALL, INT, "mark", conf_firewall, mark, "0x100", 1, UINT32_MAX,
    OPTION_HEX, "The mark of a packet that is for unatatp."),
ROW(FIREWALL, INT, "mask", conf_firewall, mask, "0xf00", 1, UINT32_MAX,
    OPTION_HEX, "The bits of the mark that are unatatp's to change."),
ROW(FIREWALL, INT, "table", conf_firewall, table, "100", 1, UINT32_MAX, 0,
    "The routing table that delivers such packets here."),
WORDS(FIREWALL, "when_down", conf_firewall, when_down, "forward", when_downs, 0,
    "New flows while unatatp is not running: forward, or drop."),

ROW(POLICY, NAME, "name", policy, name, NULL, 0, 0, 0,
    "How logs and counters call it; required."),
LIST(POLICY, PREFIXES, "sources", policy, sources, "[ ]",
    "Clients it is for: prefixes or addresses; empty: any."),
LIST(POLICY, PREFIXES, "destinations", policy, destinations, "[ ]",
    "Servers it is for, likewise; empty: any."),
LIST(POLICY, PORTS, "ports", policy, ports, "[ ]",
    "Destination ports it is for: \"443\", \"8000-8999\"; empty: any."),
WORDS(POLICY, "action", policy, action, "proxy", actions, 0,
    "proxy; reject: reset it; bypass: the firewall leaves it alone."),
ROW(POLICY, BOOL, "allow_local", policy, allow_local, "false", 0, 0, 0,
    "true: may dial this machine, link-local and multicast."),
ROW(POLICY, SOURCE, "source", policy, source, "gateway", 0, 0, 0,
    "Where servers see the flow come from."),
ROW(POLICY, INTERFACE, "interface", policy, interface, "", 0, 0, 0,
    "The interface to dial through; empty: as routed."),
ROW(POLICY, INT, "mark", policy, mark, "0", 0, UINT32_MAX, OPTION_HEX,
    "Firewall mark of the packets to the server; 0: none."),
ROW(POLICY, SIZE, "buffer", policy, buffer, "256K", 4 * K, 64 * K * K, 0,
    "The most that one lane may hold."),
ROW(POLICY, SIZE, "splice_after", policy, splice_after, "64K",
    0, 1024 * K * K * K, 0,
    "A lane that moved this much in a row is bulk, and spliced; 0: never."),
ROW(POLICY, DURATION, "latency", policy, latency, "0",
    5, 10 * SECOND, OPTION_OR_ZERO,
    "Bound on the delay added inside a flow, such as \"50ms\"; 0: none."),
GROUP(POLICY, "client", offsetof(struct policy, client), LEG,
    "The connection between client and gateway."),
GROUP(POLICY, "server", offsetof(struct policy, server), LEG,
    "The connection between gateway and server."),
WORDS(POLICY, "congestion_missing", policy, congestion_missing, "warn",
    missings, 0,
    "When the kernel refuses the algorithm: warn, or reject the flow."),
GROUP(POLICY, "timeouts", 0, POLICY_TIMEOUTS,
    "When a flow is cut; 0: never."),

ROW(LEG, CONGESTION, "congestion", sock_options, congestion, "system", 0, 0, 0,
    "The congestion control; system: the kernel's; auto: see next."),
LIST(LEG, ALGORITHMS, "congestion_among", sock_options, congestion_among, "[ ]",
    "What auto chooses from by what flows achieve: [ \"cubic\", \"bbr\" ]."),
ROW(LEG, INT, "initial_window", sock_options, initial_window, "0",
    1, 1000, OPTION_OR_ZERO,
    "Segments sent before the first answer; 0: the kernel's ten."),
ROW(LEG, SIZE, "notsent_lowat", sock_options, notsent_lowat, "128K",
    0, K * K * K, 0,
    "Hold this much unsent in the kernel at most; 0: no limit."),
ROW(LEG, INT, "mss", sock_options, mss, "0", 88, 32767, OPTION_OR_ZERO,
    "The largest segment in bytes; 0: the kernel decides."),
ROW(LEG, SIZE, "window_clamp", sock_options, window_clamp, "0",
    0, K * K * K, 0,
    "The largest window to advertise; 0: the kernel decides."),
ROW(LEG, RATE, "pacing", sock_options, pacing, "0",
    1000, INT64_C(1000000000000), OPTION_OR_ZERO,
    "The most bits a second to send; 0: no limit."),
ROW(LEG, DURATION, "user_timeout", sock_options, user_timeout, "0",
    0, 480 * HOUR, 0,
    "Give up when data stays unacknowledged this long; 0: kernel's."),
ROW(LEG, DURATION, "keepalive", sock_options, keepalive, "2m",
    SECOND, 9 * HOUR, OPTION_OR_ZERO,
    "Probe a peer that was silent this long; 0: never."),
ROW(LEG, INT, "dscp", sock_options, dscp, "-1", -1, 63, 0,
    "Differentiated services code point; -1: leave."),
ROW(LEG, SIZE, "sndbuf", sock_options, sndbuf, "0",
    4 * K, K * K * K, OPTION_OR_ZERO,
    "Kernel's send buffer; 0: sized by the kernel as it goes."),
ROW(LEG, SIZE, "rcvbuf", sock_options, rcvbuf, "0",
    4 * K, K * K * K, OPTION_OR_ZERO,
    "Kernel's receive buffer; 0: sized by the kernel as it goes."),

ROW(POLICY_TIMEOUTS, DURATION, "connect", policy, timeouts.connect, "10s",
    0, YEAR, 0, "The server must have answered by then."),
ROW(POLICY_TIMEOUTS, DURATION, "idle", policy, timeouts.idle, "124m",
    0, YEAR, 0, "Silence of the whole flow."),
ROW(POLICY_TIMEOUTS, DURATION, "half_close", policy, timeouts.half_close,
    "5m", 0, YEAR, 0, "Silence of a flow with one lane ended."),
ROW(POLICY_TIMEOUTS, DURATION, "lifetime", policy, timeouts.lifetime, "0",
    0, YEAR, 0, "The longest that a flow may live."),
};
const size_t option_count = sizeof(option_rows) / sizeof(*option_rows);

static const struct {
	const char *text;
	bool quoted;
	const struct value_unit *units;
} types[OPTION_TYPES] = {
	[OPTION_BOOL] = { "true or false", false, NULL },
	[OPTION_INT] = { "a whole number, without quotes", false, NULL },
	[OPTION_DURATION] = { "a duration such as \"10s\"", true,
		value_durations },
	[OPTION_SIZE] = { "a size such as \"256K\"", true, value_sizes },
	[OPTION_RATE] = { "a rate in bits a second such as \"50M\"", true,
		value_rates },
	[OPTION_WORD] = { "a word in quotes", true, NULL },
	[OPTION_USER] = { "a name in quotes", true, NULL },
	[OPTION_SOCKET] = { "a path in quotes", true, NULL },
	[OPTION_MODE] = { "permissions in quotes, such as \"0660\"", true,
		NULL },
	[OPTION_NAME] = { "a word in quotes", true, NULL },
	[OPTION_CONGESTION] = { "an algorithm in quotes, such as \"bbr\"",
		true, NULL },
	[OPTION_ALGORITHMS] = { "a list such as [ \"cubic\", \"bbr\" ]", false,
		NULL },
	[OPTION_INTERFACE] = { "the name of an interface in quotes", true,
		NULL },
	[OPTION_INTERFACES] = { "a list such as [ \"wg0\" ]", false, NULL },
	[OPTION_ADDRESS] = { "an address in quotes", true, NULL },
	[OPTION_ENDPOINT] = { "a loopback address such as \"127.0.0.1\", or a"
		" path such as \"/run/unatatp/metrics\"", true, NULL },
	[OPTION_PREFIXES] = { "a list such as [ \"192.0.2.0/24\" ]", false,
		NULL },
	[OPTION_PORTS] = { "a list such as [ \"80\", \"8000-8999\" ]", false,
		NULL },
	[OPTION_SOURCE] = { "\"gateway\", \"clientip\", \"client\", an address, a"
		" prefix, or a list of two prefixes", true, NULL },
	[OPTION_GROUP] = { "a group in braces { }", false, NULL },
	[OPTION_LISTENS] = { "a list of groups ( { }, { } )", false, NULL },
	[OPTION_POLICIES] = { "a list of groups ( { }, { } )", false, NULL },
};
/* clang-format on */

static const char *const places[OPTION_SCOPES] = {
	[OPTION_IN_TOP] = "at the top level",
	[OPTION_IN_LISTEN] = "in an element of \"listen\"",
	[OPTION_IN_LIMITS] = "in \"limits\"",
	[OPTION_IN_TIMEOUTS] = "in \"timeouts\" at the top level",
	[OPTION_IN_LOG] = "in \"log\"",
	[OPTION_IN_CONTROL] = "in \"control\"",
	[OPTION_IN_METRICS] = "in \"metrics\"",
	[OPTION_IN_FIREWALL] = "in \"firewall\"",
	[OPTION_IN_POLICY] = "in a policy",
	[OPTION_IN_LEG] = "in \"client\" or \"server\" of a policy",
	[OPTION_IN_POLICY_TIMEOUTS] = "in \"timeouts\" of a policy",
};

const struct option_row *
option_find(enum option_scope scope, const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].scope == scope &&
		    !strcmp(option_rows[i].name, name))
			return &option_rows[i];
	return NULL;
}

const struct option_row *
option_find_elsewhere(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (!strcmp(option_rows[i].name, name))
			return &option_rows[i];
	return NULL;
}

const struct option_row *
option_nearest(enum option_scope scope, const char *name)
{
	struct suggest here = suggest_for(name), anywhere = suggest_for(name);

	for (size_t i = 0; i < option_count; i++) {
		suggest_offer(&anywhere, option_rows[i].name);
		if (option_rows[i].scope == scope)
			suggest_offer(&here, option_rows[i].name);
	}
	if (here.best)
		return option_find(scope, here.best);
	return anywhere.best ? option_find_elsewhere(anywhere.best) : NULL;
}

const char *
option_place(enum option_scope scope)
{
	return places[scope];
}

const char *
option_type_text(enum option_type type)
{
	return types[type].text;
}

bool
option_is_quoted(enum option_type type)
{
	return types[type].quoted;
}

const struct value_unit *
option_units(enum option_type type)
{
	return types[type].units;
}

static const char *
format(const struct option_row *row, int64_t value, char text[VALUE_TEXT_MAX])
{
	if (types[row->type].units)
		return value_format(types[row->type].units, value, text);
	snprintf(text, VALUE_TEXT_MAX, "%lld", (long long)value);
	return text;
}

const char *
option_range(const struct option_row *row, char text[OPTION_RANGE_MAX])
{
	char low[VALUE_TEXT_MAX], high[VALUE_TEXT_MAX];

	snprintf(text, OPTION_RANGE_MAX, "%s%s to %s",
	    row->flags & OPTION_OR_ZERO ? "0, or " : "",
	    format(row, row->min, low), format(row, row->max, high));
	return text;
}

bool
option_in_range(const struct option_row *row, int64_t value)
{
	if (!value && row->flags & OPTION_OR_ZERO)
		return true;
	return value >= row->min && value <= row->max;
}

void
option_write_defaults(FILE *out, enum option_scope scope)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];
		const char *quote = option_is_quoted(row->type) ? "\"" : "";

		if (row->scope != scope)
			continue;
		if (row->type == OPTION_GROUP) {
			fprintf(out, "%s = {\n", row->name);
			option_write_defaults(out, row->inner);
			fputs("};\n", out);
		} else if (row->initial) {
			fprintf(out, "%s = %s%s%s;\n", row->name, quote,
			    row->initial, quote);
		}
	}
}
