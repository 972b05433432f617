/*
 * conf: an immutable snapshot of what the administrator asked for. It is
 * reference-counted; whoever holds a reference may read it on any thread.
 * Durations are in milliseconds, sizes in bytes, rates in bits a second.
 */
#ifndef UNATATP_CONF_CONF_H
#define UNATATP_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/sock.h"

#define CONF_DEFAULT_PATH "/etc/unatatp.conf"
#define CONF_CONTROL_PATH "/run/unatatp/control"

/* The congestion that is chosen anew for each flow, of so many at most. */
#define CONF_AUTO "auto"
#define CONF_AMONG_MAX 4

struct prefix_set;
struct policy_index;
struct conf_memory;

/* Bypass is for the firewall: a flow that comes here is proxied. */
enum conf_action { CONF_PROXY, CONF_REJECT, CONF_BYPASS };
enum conf_when_down { CONF_DOWN_FORWARD, CONF_DOWN_DROP };
enum conf_missing { CONF_MISSING_WARN, CONF_MISSING_REJECT };
enum conf_flow_log { CONF_FLOWS_OFF, CONF_FLOWS_SUMMARY, CONF_FLOWS_JSON };

/* What of the client's own address the server sees. */
enum conf_client { CONF_CLIENT_NONE, CONF_CLIENT_ADDRESS, CONF_CLIENT_PORT };

/* Where a policy's dialled sockets come from, one choice a family. */
struct conf_source {
	enum conf_client client; /* unless NONE, the rest is empty */
	bool has[2];		 /* [0] IPv4, [1] IPv6; false: the gateway's */
	struct prefix prefix[2]; /* full length: that address; else a map */
};

struct conf_ports {
	uint16_t first, last;
};

struct policy {
	/* Lives as long as the process, so that a flow may outlive conf. */
	const char *name;
	unsigned index; /* place in the file; the fallback is last */
	int line;
	struct prefix *sources, *destinations; /* none: any */
	size_t n_sources, n_destinations;
	struct conf_ports *ports; /* none: any */
	size_t n_ports;
	struct prefix_set *destination_set; /* NULL: any */

	int64_t action; /* enum conf_action */
	bool allow_local;
	struct conf_source source;
	char interface[SOCK_INTERFACE_MAX];
	int64_t mark;
	int64_t buffer;	      /* bytes a lane may hold */
	int64_t splice_after; /* bytes; 0: never */
	int64_t latency;      /* ms of delay added inside a flow; 0: any */
	struct sock_options client, server;
	int64_t congestion_missing; /* enum conf_missing */
	struct {
		int64_t connect, idle, half_close, lifetime; /* 0: none */
	} timeouts;
};

struct conf_interface {
	char name[SOCK_INTERFACE_MAX];
};

/* What the firewall's rules and routes are made of. */
struct conf_firewall {
	struct conf_interface *interfaces; /* the clients' side */
	size_t n_interfaces;
	int64_t mark, mask; /* of a packet for us: mark within mask */
	int64_t table;	    /* of the local route */
	int64_t when_down;  /* enum conf_when_down */
};

/* The socket for whoever asks or tells the running daemon. */
struct conf_control {
	char *path;   /* "": none */
	int64_t mode; /* of chmod(2) */
	char *group;  /* "": that of `user` */
};

/* Where metrics and status page are: on loopback, or a UNIX socket. */
struct conf_metrics {
	char *address; /* "": nowhere; a path begins with a slash */
	int64_t port;
};

struct conf {
	struct addr *listens;
	size_t n_listens;
	int64_t workers; /* 0: one a CPU */
	char *user;	 /* "": keep the caller's */
	bool sandbox;
	struct {
		int64_t flows; /* 0: what the descriptor limit allows */
		int64_t flows_per_source; /* 0: no limit */
		int64_t memory;		  /* bytes; 0: no limit */
		bool evict_idle;
	} limits;
	struct {
		int64_t drain;
	} timeouts;
	struct policy *policies; /* file order */
	size_t n_policies;
	struct policy fallback; /* "default": whatever none matched */
	struct policy_index *index;
	struct conf_memory *memory; /* what lists and strings above live in */
	struct {
		int64_t level;	/* enum log_level */
		int64_t target; /* enum log_target */
		int64_t flows;	/* enum conf_flow_log */
		int64_t max_per_second;
	} log;
	struct conf_control control;
	struct conf_metrics metrics;
	struct conf_firewall firewall;
	const char **files; /* read: the file and what it includes */
	size_t n_files;
	bool builtin; /* no file: what cannot listen is skipped */
	_Atomic unsigned refs;
};

/* What the command line says over the file. Zero: nothing. */
struct conf_override {
	uint16_t port;		      /* every listener's port */
	const char *congestion;	      /* both legs of every policy */
	const char *bind_ipv4;	      /* `source` of policy `default` */
	const char *bind_ipv6_prefix; /* likewise */
	int verbose;		      /* levels above the file's */
};

enum conf_severity { CONF_WARNING, CONF_ERROR };

/*
 * Where a reading's findings go, one whole line each without newline:
 * "FILE:LINE: text" ("warning: " stands before a warning's text).
 */
struct conf_report {
	void (*emit)(void *arg, enum conf_severity severity, const char *line);
	void *arg;
	unsigned errors, warnings;
};

/*
 * Reads PATH, or the built-in configuration when PATH is NULL; every
 * mistake goes to REPORT. Returns a snapshot with one reference, or NULL
 * when there was an error (errno is ENOENT when PATH does not exist,
 * otherwise EINVAL; both were reported).
 */
struct conf *conf_read(const char *path, const struct conf_override *over,
    struct conf_report *report);

/*
 * The file that -c NAMED (which may be NULL) means: that one, else
 * CONF_DEFAULT_PATH where it exists, else NULL, the built-in one.
 */
const char *conf_default_path(const char *named);

/*
 * Where the daemon that reads PATH (NULL: no file) has its control socket:
 * the file's other mistakes do not hide it; of one that the caller may not
 * read the default is said. 0, or -errno: -EINVAL when a syntax error
 * stands before it.
 */
__attribute__((warn_unused_result)) int conf_control_path(
    const char *path, char text[SOCK_PATH_MAX]);

/* How many workers CONF asks for on this machine. */
size_t conf_workers(const struct conf *conf);

/* The least of limits.memory that a worker can do something with. */
#define CONF_MEMORY_LEAST (256 << 10)

/* How many descriptors a daemon with limits.flows flows has at most. */
size_t conf_descriptors(const struct conf *conf);

struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf *conf); /* NULL is allowed */

/* The first policy with an initial_window on either leg; NULL: none. */
const struct policy *conf_wants_window(const struct conf *conf);

/* The effective configuration in libconfig syntax; loads to the same. */
struct evbuffer;
int conf_print(const struct conf *conf, struct evbuffer *out);

#endif
