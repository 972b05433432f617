/* For --without-seccomp. */
#include <errno.h>

#include "base/sandbox.h"

int
sandbox_calls_probe(void)
{
	return -ENOTSUP;
}

int
sandbox_limit_calls(enum sandbox_role role)
{
	(void)role;
	return -ENOTSUP;
}
