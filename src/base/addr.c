#include "base/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ::ffff:0:0/96 */
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

socklen_t
addr_len(const struct addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in4);
}

/* The number of the interface that TEXT names; 0 when there is none. */
static uint32_t
scope_parse(const char *text)
{
	uint32_t index = if_nametoindex(text);
	char *end;

	if (index || text[0] < '0' || text[0] > '9')
		return index;
	index = (uint32_t)strtoul(text, &end, 10);
	return *end ? 0 : index;
}

static int
in6_parse(struct sockaddr_in6 *in6, const char *text)
{
	char host[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return -EINVAL;
	in6->sin6_family = AF_INET6;
	if (!text[len])
		return 0;
	in6->sin6_scope_id = scope_parse(text + len + 1);
	return in6->sin6_scope_id ? 0 : -EINVAL;
}

int
addr_parse(struct addr *a, const char *text, uint16_t port)
{
	int err = 0;

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &a->in4.sin_addr) == 1)
		a->sa.sa_family = AF_INET;
	else
		err = in6_parse(&a->in6, text);
	if (err)
		return err;
	addr_set_port(a, port);
	return 0;
}

const char *
addr_format_host(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	char scope[IF_NAMESIZE];
	size_t len;

	if (!inet_ntop(
		a->sa.sa_family, addr_bytes(a, &len), text, ADDR_TEXT_MAX))
		return strcpy(text, "?");
	if (a->sa.sa_family != AF_INET6 || !a->in6.sin6_scope_id)
		return text;
	if (!if_indextoname(a->in6.sin6_scope_id, scope))
		snprintf(scope, sizeof(scope), "%u", a->in6.sin6_scope_id);
	len = strlen(text);
	snprintf(text + len, ADDR_TEXT_MAX - len, "%%%s", scope);
	return text;
}

const char *
addr_format(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	char host[ADDR_TEXT_MAX];
	const char *form =
	    a->sa.sa_family == AF_INET6 ? "[%.70s]:%u" : "%.70s:%u";

	addr_format_host(a, host);
	snprintf(text, ADDR_TEXT_MAX, form, host, addr_port(a));
	return text;
}

uint16_t
addr_port(const struct addr *a)
{
	/* sin_port and sin6_port lie at the same place. */
	return ntohs(a->in4.sin_port);
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	a->in4.sin_port = htons(port);
}

void
addr_unmap(struct addr *a)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };

	if (a->sa.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in4.sin_port = a->in6.sin6_port;
	memcpy(&in4.sin_addr, a->in6.sin6_addr.s6_addr + sizeof(mapped),
	    sizeof(in4.sin_addr));
	memset(a, 0, sizeof(*a));
	a->in4 = in4;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_same_host(a, b) && a->in4.sin_port == b->in4.sin_port;
}

bool
addr_same_host(const struct addr *a, const struct addr *b)
{
	size_t len, len_b;
	const uint8_t *bytes = addr_bytes(a, &len);
	const uint8_t *bytes_b = addr_bytes(b, &len_b);

	if (len != len_b || memcmp(bytes, bytes_b, len))
		return false;
	return a->sa.sa_family != AF_INET6 ||
	    a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

const uint8_t *
addr_bytes(const struct addr *a, size_t *len)
{
	if (a->sa.sa_family == AF_INET6) {
		*len = 16;
		return a->in6.sin6_addr.s6_addr;
	}
	*len = 4;
	return (const uint8_t *)&a->in4.sin_addr;
}

bool
addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];
	size_t len;
	const uint8_t *bytes = addr_bytes(a, &len);

	return !memcmp(bytes, zero, len);
}

bool
addr_is_loopback(const struct addr *a)
{
	static const struct prefix in4 = { AF_INET, 8, { 127 } };
	static const struct prefix in6 = { AF_INET6, 128, { [15] = 1 } };
	struct addr plain = *a;

	addr_unmap(&plain);
	return prefix_contains(&in4, &plain) || prefix_contains(&in6, &plain);
}

bool
addr_is_special(const struct addr *a)
{
	/* clang-format off */
	static const struct prefix special[] = {
		{ AF_INET, 8, { 0 } },			/* this network */
		{ AF_INET, 8, { 127 } },		/* loopback */
		{ AF_INET, 16, { 169, 254 } },		/* link-local */
		{ AF_INET, 4, { 224 } },		/* multicast */
		{ AF_INET, 32, { 255, 255, 255, 255 } },/* broadcast */
		{ AF_INET6, 128, { 0 } },		/* unspecified */
		{ AF_INET6, 128, { [15] = 1 } },	/* loopback */
		{ AF_INET6, 10, { 0xfe, 0x80 } },	/* link-local */
		{ AF_INET6, 8, { 0xff } },		/* multicast */
	};
	/* clang-format on */
	struct addr plain = *a;

	addr_unmap(&plain);
	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
		if (prefix_contains(&special[i], &plain))
			return true;
	return false;
}

/* The bits of byte I that lie inside the first LEN bits. */
static uint8_t
byte_mask(size_t i, uint8_t len)
{
	if (len >= 8 * (i + 1))
		return 0xff;
	if (len <= 8 * i)
		return 0;
	return (uint8_t)(0xff00 >> (len - 8 * i));
}

/* A decimal of one to three digits, at most MAX; -1 when it is none. */
static int
length_parse(const char *text, int max)
{
	size_t digits = strspn(text, "0123456789");
	int len;

	if (digits < 1 || digits > 3 || text[digits])
		return -1;
	len = atoi(text);
	return len <= max ? len : -1;
}

static bool
clear_host_bits(struct prefix *p)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(p->bytes); i++) {
		uint8_t kept = p->bytes[i] & byte_mask(i, p->len);

		any |= kept != p->bytes[i];
		p->bytes[i] = kept;
	}
	return any;
}

enum prefix_error
prefix_parse(struct prefix *p, const char *text)
{
	char host[INET6_ADDRSTRLEN];
	size_t host_len = strcspn(text, "/");
	int len, max;

	memset(p, 0, sizeof(*p));
	if (host_len >= sizeof(host))
		return PREFIX_BAD_ADDRESS;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	p->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(p->family, host, p->bytes) != 1)
		return PREFIX_BAD_ADDRESS;
	max = p->family == AF_INET6 ? 128 : 32;
	len = max;
	if (text[host_len])
		len = length_parse(text + host_len + 1, max);
	if (len < 0)
		return PREFIX_BAD_LENGTH;
	if (p->family == AF_INET6 && len >= 96 &&
	    !memcmp(p->bytes, mapped, sizeof(mapped))) {
		p->family = AF_INET;
		len -= 96;
		memmove(p->bytes, p->bytes + 12, 4);
		memset(p->bytes + 4, 0, 12);
	}
	p->len = (uint8_t)len;
	return clear_host_bits(p) ? PREFIX_HOST_BITS : PREFIX_OK;
}

const char *
prefix_format(const struct prefix *p, char text[PREFIX_TEXT_MAX])
{
	size_t len;

	if (!inet_ntop(p->family, p->bytes, text, PREFIX_TEXT_MAX))
		return strcpy(text, "?");
	len = strlen(text);
	snprintf(text + len, PREFIX_TEXT_MAX - len, "/%u", p->len);
	return text;
}

bool
prefix_contains(const struct prefix *p, const struct addr *a)
{
	size_t len;
	const uint8_t *bytes = addr_bytes(a, &len);

	if (p->family != a->sa.sa_family)
		return false;
	for (size_t i = 0; i < len && 8 * i < p->len; i++)
		if ((bytes[i] ^ p->bytes[i]) & byte_mask(i, p->len))
			return false;
	return true;
}

void
prefix_map(const struct prefix *p, struct addr *a)
{
	size_t len;
	uint8_t *bytes = (uint8_t *)addr_bytes(a, &len);

	assert(p->family == a->sa.sa_family);
	for (size_t i = 0; i < len; i++) {
		uint8_t mask = byte_mask(i, p->len);

		bytes[i] = (uint8_t)((p->bytes[i] & mask) |
		    (bytes[i] & (uint8_t)~mask));
	}
}
