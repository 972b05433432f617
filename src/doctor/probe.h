/*
 * probe: one real connection through the rules, between two namespaces of
 * its own, with counters at each stage. Makes two links, a table of nft and
 * a filter of tc, and takes them away again. Only inside src/doctor.
 */
#ifndef UNATATP_DOCTOR_PROBE_H
#define UNATATP_DOCTOR_PROBE_H

#include <stdbool.h>
#include <sys/types.h>

#include "doctor/checks.h"

#define PROBE_CLIENT_LINK "unatatp-pc"
#define PROBE_SERVER_LINK "unatatp-ps"
#define PROBE_TABLE "unatatp_probe"
#define PROBE_PORT 50123

/* The addresses of a family: RFC 2544 and RFC 5180 keep them for tests. */
struct probe_net {
	int family;
	const char *word; /* nft's */
	const char *client, *client_gateway, *server, *server_gateway;
	int length;
};

/* A process at one end, in a namespace of its own. */
struct probe_end {
	pid_t pid;
	int tell, hear; /* our ends of its pipes */
};

/* What an end says. */
enum probe_word {
	PROBE_BORN = 'n',      /* its namespace is there */
	PROBE_READY = 'r',     /* its address is, and it listens */
	PROBE_CONNECTED = 'c', /* the client: answered */
	PROBE_BYTES = 'b',     /* bytes came back */
	PROBE_FAILED = 'f',
};

/* 0 or -errno. A client connects when it is told for the second time. */
__attribute__((warn_unused_result)) int probe_start(
    struct probe_end *end, const struct probe_net *net, bool is_client);
void probe_tell(struct probe_end *end);

/* Its next word, or 0 when none came within MS, it died, or a signal did. */
int probe_hear(struct probe_end *end, int ms);
void probe_stop(struct probe_end *end);

#endif
