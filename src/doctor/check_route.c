/* The table that the rules lead to. */
#include <stdlib.h>
#include <string.h>

#include "doctor/checks.h"

/* Numbers of linux/rtnetlink.h, as ip -N prints them. */
static const char *const types[] = { "", "unicast", "local", "broadcast",
	"anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw",
	"nat" };

static const char *
type_of(json_t *route)
{
	size_t n = (size_t)strtoul(facts_text(route, "type"), NULL, 10);

	return n < sizeof(types) / sizeof(*types) ? types[n] : "";
}

static bool
is_local(json_t *route)
{
	return !strcmp(type_of(route), "local") &&
	    !strcmp(facts_text(route, "dev"), "lo");
}

static bool
is_default(json_t *route)
{
	return !strcmp(facts_text(route, "dst"), "default");
}

/* NULL when ip could not be asked; that was said. */
static json_t *
routes_of(struct check *c)
{
	const char *why;
	json_t *routes = facts_routes(c->facts, c->family, &why);

	check_looked(
	    c, "%s route show table %ld", check_ip(c), c->facts->table);
	if (!routes)
		check_say(c, DOCTOR_UNKNOWN, "%s", why);
	return routes;
}

void
check_route(struct check *c)
{
	json_t *routes = routes_of(c), *route;
	bool other = false;
	size_t i;

	if (!routes)
		return;
	json_array_foreach(routes, i, route)
	{
		if (!is_default(route))
			continue;
		if (is_local(route))
			return;
		other = true;
	}
	check_say(c, DOCTOR_FAILURE,
	    "table %ld needs a local default route on lo: %s", c->facts->table,
	    other ? "the default that is there is another" : "there is none");
	/* That command leaves others' routes alone. */
	if (!other && mend_ours(c, NULL))
		return;
	check_mend(c, "%s route replace local default dev lo table %ld",
	    check_ip(c), c->facts->table);
}

void
check_route_other(struct check *c)
{
	json_t *routes = routes_of(c), *route;
	size_t i;

	json_array_foreach(routes, i, route)
	{
		const char *dst = facts_text(route, "dst");
		const char *dev = facts_text(route, "dev");

		if (is_default(route) || !strcmp(type_of(route), "local"))
			continue;
		check_say(c, DOCTOR_FAILURE,
		    "table %ld sends %s elsewhere (%s)", c->facts->table, dst,
		    type_of(route));
		check_mend(c, "%s route del %s %s%s%s table %ld", check_ip(c),
		    type_of(route), dst, *dev ? " dev " : "", dev,
		    c->facts->table);
	}
}
