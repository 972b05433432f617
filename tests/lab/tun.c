#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tun.h"

/* Room for all that comes while the endpoints have the CPU. */
#define QUEUE_LENGTH 20000

/* Up, with a long queue. What is asked of the device's own namespace. */
static int
bring_up(const char *name)
{
	struct ifreq ifr = { .ifr_qlen = QUEUE_LENGTH };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCSIFTXQLEN, &ifr) < 0 ||
	    ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		err = -errno;
	ifr.ifr_flags |= IFF_UP;
	if (!err && ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Within the namespace where the device is to be. */
static int
make_here(struct tun *t)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, t->name, sizeof(ifr.ifr_name));
	if (ioctl(t->fd, TUNSETIFF, &ifr) < 0)
		return -errno;
	t->counters = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
	if (t->counters < 0)
		return -errno;
	return bring_up(t->name);
}

int
tun_open(struct tun *t, const char *path, const char *name)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	t->fd = t->counters = -1;
	snprintf(t->name, sizeof(t->name), "%s", name);
	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) {
		err = -errno;
	} else {
		err = make_here(t);
		if (setns(home, CLONE_NEWNET) < 0 && !err)
			err = -errno;
	}
	if (home >= 0)
		close(home);
	if (there >= 0)
		close(there);
	if (err)
		tun_close(t);
	return err;
}

void
tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->counters >= 0)
		close(t->counters);
	t->fd = t->counters = -1;
}

struct packet *
tun_read(struct tun *t)
{
	unsigned char bytes[WIRE_PACKET];
	ssize_t n = read(t->fd, bytes, sizeof(bytes));
	struct packet *p;

	if (n <= 0)
		return NULL;
	p = malloc(sizeof(*p) + (size_t)n);
	if (!p)
		return NULL;
	p->size = (uint32_t)n;
	memcpy(p->bytes, bytes, (size_t)n);
	return p;
}

int
tun_write(struct tun *t, const struct packet *p)
{
	return write(t->fd, p->bytes, p->size) < 0 ? -errno : 0;
}

uint64_t
tun_drops(const struct tun *t)
{
	unsigned long long in, out;
	char text[8192], wanted[IFNAMSIZ + 2];
	ssize_t n = pread(t->counters, text, sizeof(text) - 1, 0);
	const char *line;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	snprintf(wanted, sizeof(wanted), "%s:", t->name);
	line = strstr(text, wanted);
	/* bytes packets errs drop fifo frame compressed multicast, twice */
	if (!line ||
	    sscanf(line + strlen(wanted),
		"%*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %*u %llu", &in,
		&out) != 2)
		return 0;
	return in + out;
}
