#include "gateway/recent.h"

#include <stdio.h>

/* "/" empties a list: iptables-extensions(8). What stays in it ages. */
static void
empty(const char *path)
{
	FILE *list = fopen(path, "we");

	if (!list)
		return;
	fputs("/\n", list);
	fclose(list);
}

void
recent_forget(void)
{
	empty("/proc/net/xt_recent/" RECENT_IPV4);
	empty("/proc/net/xt_recent/" RECENT_IPV6);
}
