/* Where configure found no <linux/bpf.h> that knows enough, or --disable-bpf. */
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
