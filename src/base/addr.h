/*
 * addr: IPv4 and IPv6 socket addresses and prefixes as plain values.
 * Nothing here allocates or keeps state; any thread may call any of it.
 */
#ifndef UNATATP_BASE_ADDR_H
#define UNATATP_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "[2001:db8::1%wg0]:65535" and its NUL. */
#define ADDR_TEXT_MAX 80
#define PREFIX_TEXT_MAX 56

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	};
};

/* Bytes are in network order; an IPv4 prefix uses the first four. */
struct prefix {
	sa_family_t family;
	uint8_t len;
	uint8_t bytes[16];
};

/* Length of the sockaddr inside, for bind(2) and connect(2). */
socklen_t addr_len(const struct addr *a);

/*
 * Reads a numeric address without a port ("192.0.2.1", "2001:db8::1",
 * "fe80::1%eth0"); the port becomes PORT (host order). Returns 0, or
 * -EINVAL when TEXT is no numeric address.
 */
__attribute__((warn_unused_result)) int addr_parse(
    struct addr *a, const char *text, uint16_t port);

/* "192.0.2.1:443" or "[2001:db8::1]:443" into TEXT; returns TEXT. */
const char *addr_format(const struct addr *a, char text[ADDR_TEXT_MAX]);

/* The address alone, no port, no brackets. */
const char *addr_format_host(const struct addr *a, char text[ADDR_TEXT_MAX]);

uint16_t addr_port(const struct addr *a); /* host order */
void addr_set_port(struct addr *a, uint16_t port);

/* Turns a v4-mapped IPv6 address (::ffff:192.0.2.1) into plain IPv4. */
void addr_unmap(struct addr *a);

bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_same_host(const struct addr *a, const struct addr *b);

/* The address bytes in network order: 4 of them, or 16. */
const uint8_t *addr_bytes(const struct addr *a, size_t *len);

bool addr_is_any(const struct addr *a);

/* True for 127.0.0.0/8 and ::1. */
bool addr_is_loopback(const struct addr *a);

/*
 * True for what never lies behind a gateway: unspecified and 0.0.0.0/8,
 * loopback, link-local, multicast, limited broadcast (RFC 6890).
 */
bool addr_is_special(const struct addr *a);

/* Why prefix_parse refused. */
enum prefix_error {
	PREFIX_OK = 0,
	PREFIX_BAD_ADDRESS,
	PREFIX_BAD_LENGTH,
	PREFIX_HOST_BITS, /* *p holds the prefix with them cleared */
};

/*
 * Reads "192.0.2.0/24", "2001:db8::/32" or a lone address (full length).
 * A v4-mapped prefix of /96 or longer becomes the IPv4 one.
 */
__attribute__((warn_unused_result)) enum prefix_error prefix_parse(
    struct prefix *p, const char *text);

const char *prefix_format(const struct prefix *p, char text[PREFIX_TEXT_MAX]);
bool prefix_contains(const struct prefix *p, const struct addr *a);

/* Replaces the first p->len bits of A's address with the prefix's own. */
void prefix_map(const struct prefix *p, struct addr *a);

#endif
