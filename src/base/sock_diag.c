#include "base/sock.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Since Linux 4.5; the system's header may be older. */
#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

union answer {
	struct nlmsghdr header;
	char room[4096];
};

/*
 * One question and its answer. The kernel answers before send(2) returns,
 * so nothing here can wait. 0, or the -errno that it answers.
 */
static int
ask(int fd, struct request *r, union answer *answer)
{
	ssize_t n;

	if (send(fd, r, sizeof(*r), 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(*answer), MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (!NLMSG_OK(&answer->header, (size_t)n))
		return -EPROTO;
	if (answer->header.nlmsg_type != NLMSG_ERROR)
		return 0;
	return ((struct nlmsgerr *)NLMSG_DATA(&answer->header))->error;
}

static void
name_connection(struct inet_diag_sockid *id, const struct addr *local,
    const struct addr *peer, const char *interface)
{
	size_t n;
	const uint8_t *bytes = addr_bytes(local, &n);

	memcpy(id->idiag_src, bytes, n);
	bytes = addr_bytes(peer, &n);
	memcpy(id->idiag_dst, bytes, n);
	id->idiag_sport = htons(addr_port(local));
	id->idiag_dport = htons(addr_port(peer));
	id->idiag_if = *interface ? if_nametoindex(interface) : 0;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

static int
end_time_wait(int fd, struct request *r)
{
	union answer answer = { 0 };
	const struct inet_diag_msg *found = NLMSG_DATA(&answer.header);
	int err = ask(fd, r, &answer);

	if (err)
		return err;
	if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(*found)))
		return -EPROTO;
	if (found->idiag_state != TCP_TIME_WAIT)
		return -EBUSY;
	/* The cookie: this one, not what may come after it. */
	memcpy(r->diag.id.idiag_cookie, found->id.idiag_cookie,
	    sizeof(r->diag.id.idiag_cookie));
	r->header.nlmsg_type = SOCK_DESTROY;
	r->header.nlmsg_flags |= NLM_F_ACK;
	return ask(fd, r, &answer);
}

int
sock_end_time_wait(
    const struct addr *local, const struct addr *peer, const char *interface)
{
	struct request r = {
		.header = { .nlmsg_len = sizeof(r),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST },
		.diag = { .sdiag_family = (uint8_t)local->sa.sa_family,
		    .sdiag_protocol = IPPROTO_TCP,
		    .idiag_states = ~0u },
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int err;

	if (fd < 0)
		return -errno;
	name_connection(&r.diag.id, local, peer, interface);
	err = end_time_wait(fd, &r);
	close(fd);
	return err;
}
