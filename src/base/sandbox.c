#include "base/sandbox.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

/*
 * Sanitizers and gcov make calls and open files of their own, and so does
 * valgrind, which names its helper in LD_PRELOAD.
 */
const char *
sandbox_obstacle(void)
{
	const char *preload = getenv("LD_PRELOAD");

#ifdef INSTRUMENTED
	return "this program was built with " INSTRUMENTED;
#endif
	if (preload && strstr(preload, "/vgpreload_"))
		return "it runs under valgrind";
	return NULL;
}
