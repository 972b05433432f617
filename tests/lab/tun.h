/*
 * tun: one end of the link, a TUN device in a network namespace. Packets of
 * the MTU's size, no more: with IFF_VNET_HDR the kernel would hand over 64
 * KiB at a time, and one loss would take 45 packets.
 */
#ifndef UNATATP_LAB_TUN_H
#define UNATATP_LAB_TUN_H

#include <net/if.h>
#include <stdint.h>

#include "wire.h"

struct tun {
	int fd;
	int counters; /* /proc/net/dev of its namespace */
	char name[IFNAMSIZ];
};

/*
 * Makes the device NAME in the namespace that the file PATH stands for; it
 * is up, without an address, and goes with its descriptor. 0, or -errno.
 */
__attribute__((warn_unused_result)) int tun_open(
    struct tun *t, const char *path, const char *name);

void tun_close(struct tun *t);

/* The next packet, the caller's to free; NULL when there is none. */
struct packet *tun_read(struct tun *t);

/* Hands a packet to the kernel. 0, or -errno when it took none. */
int tun_write(struct tun *t, const struct packet *p);

/* How many packets the kernel dropped, both ways, since the device is. */
uint64_t tun_drops(const struct tun *t);

#endif
