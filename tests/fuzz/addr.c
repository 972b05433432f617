/* Addresses and prefixes. */
#include "base/addr.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void
check_address(const char *text)
{
	char printed[ADDR_TEXT_MAX];
	struct addr a, again;

	if (addr_parse(&a, text, 443))
		return;
	addr_format(&a, printed);
	FUZZ_CHECK(strstr(printed, ":443"));
	addr_format_host(&a, printed);
	FUZZ_CHECK(!addr_parse(&again, printed, 443));
	FUZZ_CHECK(addr_equal(&a, &again));
	if (addr_is_loopback(&a) || addr_is_any(&a))
		FUZZ_CHECK(addr_is_special(&a));
	addr_unmap(&a);
	again = a;
	addr_unmap(&again);
	FUZZ_CHECK(addr_equal(&a, &again));
}

/* An address of P's family with every bit set. */
static struct addr
all_ones(const struct prefix *p)
{
	struct addr a = { 0 };

	a.sa.sa_family = p->family;
	if (p->family == AF_INET)
		memset(&a.in4.sin_addr, 0xff, 4);
	else
		memset(&a.in6.sin6_addr, 0xff, 16);
	return a;
}

static void
check_prefix(const char *text)
{
	char printed[PREFIX_TEXT_MAX];
	enum prefix_error error;
	struct prefix p, again;
	struct addr a;

	error = prefix_parse(&p, text);
	if (error != PREFIX_OK && error != PREFIX_HOST_BITS)
		return;
	prefix_format(&p, printed);
	FUZZ_CHECK(prefix_parse(&again, printed) == PREFIX_OK);
	FUZZ_CHECK(!memcmp(&p, &again, sizeof(p)));
	a = all_ones(&p);
	prefix_map(&p, &a);
	FUZZ_CHECK(prefix_contains(&p, &a));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	check_address(text);
	check_prefix(text);
	free(text);
	return 0;
}
