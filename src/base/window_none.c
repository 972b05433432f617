/* For --disable-bpf, or where <linux/bpf.h> does not know enough. */
#include <errno.h>

#include "base/window.h"

int
window_probe(void)
{
	return -ENOTSUP;
}

int
window_allow(void)
{
	return -ENOTSUP;
}
