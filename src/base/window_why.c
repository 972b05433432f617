#include <errno.h>
#include <string.h>

#include "base/window.h"

const char *
window_why(int err)
{
	switch (-err) {
	case EPERM:
		return "CAP_BPF is missing at the start (with systemd: "
		       "contrib/systemd/initial-window.conf)";
	case ENOTSUP:
		return "unatatp was built without BPF";
	case ENOENT:
		return "no cgroup v2 is mounted";
	case ENOSYS:
	case EINVAL:
		return "the kernel lacks BPF for setsockopt (Linux 5.15, "
		       "CONFIG_CGROUP_BPF)";
	default:
		return strerror(-err);
	}
}
