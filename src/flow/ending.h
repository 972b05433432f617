/*
 * ending: why a flow ended, one row each. The log, the counters and the
 * manual all read this table. A row with RST cuts both legs; the others
 * close in the orderly way.
 */
#ifndef UNATATP_FLOW_ENDING_H
#define UNATATP_FLOW_ENDING_H

#include <stdbool.h>

/* clang-format off */
/*   name                 word                   rst    help */
#define ENDING_TABLE(X) \
	X(CLIENT_FIN,          "client-fin",          false, "both sides finished, the client first") \
	X(SERVER_FIN,          "server-fin",          false, "both sides finished, the server first") \
	X(CLIENT_RESET,        "client-reset",        true,  "the client reset the connection") \
	X(SERVER_RESET,        "server-reset",        true,  "the server reset the connection") \
	X(CLIENT_TIMEOUT,      "client-timeout",      true,  "the client stopped answering") \
	X(SERVER_TIMEOUT,      "server-timeout",      true,  "the server stopped answering") \
	X(CONNECT_REFUSED,     "connect-refused",     true,  "the server refused the connection") \
	X(CONNECT_UNREACHABLE, "connect-unreachable", true,  "no way to the server") \
	X(CONNECT_TIMEOUT,     "connect-timeout",     true,  "the server did not answer in time") \
	X(CONNECT_FAILED,      "connect-failed",      true,  "dialling failed in another way") \
	X(IDLE,                "idle",                true,  "silent for timeouts.idle") \
	X(HALF_CLOSE,          "half-close",          true,  "one lane ended, the other silent for timeouts.half_close") \
	X(LIFETIME,            "lifetime",            true,  "older than timeouts.lifetime") \
	X(DRAIN,               "drain",               true,  "still open when timeouts.drain was over") \
	X(SHUTDOWN,            "shutdown",            true,  "the daemon was told to exit at once") \
	X(KILLED,              "killed",              true,  "the administrator killed it") \
	X(REJECTED,            "rejected",            true,  "the policy says reject") \
	X(LOOP,                "loop",                true,  "the destination is one of our own listeners") \
	X(LOCAL,               "local",               true,  "the destination is the gateway itself or not routable") \
	X(FLOW_LIMIT,          "flow-limit",          true,  "limits.flows reached") \
	X(SOURCE_LIMIT,        "source-limit",        true,  "limits.flows_per_source reached") \
	X(MEMORY_LIMIT,        "memory-limit",        true,  "limits.memory reached") \
	X(EVICTED,             "evicted",             true,  "silent longest when a limit was reached, and evict_idle") \
	X(CONGESTION,          "congestion",          true,  "congestion algorithm missing and congestion_missing says reject") \
	X(SOURCE,              "source",              true,  "no usable source address, port or interface") \
	X(RESOURCES,           "resources",           true,  "out of descriptors or memory")
/* clang-format on */

enum ending {
#define X(name, word, rst, help) ENDING_##name,
	ENDING_TABLE(X)
#undef X
	    ENDING_COUNT
};

const char *ending_word(enum ending ending);

/* True when the flow's legs are to see RST. */
bool ending_resets(enum ending ending);

#endif
