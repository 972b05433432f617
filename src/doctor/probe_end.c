/* The two ends of a probe: child processes that speak in single letters. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn.h"
#include "doctor/probe.h"

#define PATIENCE_S 3
#define GREETING "unatatp"

static void
say(int fd, enum probe_word word)
{
	char letter = (char)word;

	if (write(fd, &letter, 1) != 1)
		_exit(1);
}

static void
wait_for_word(int fd)
{
	char letter;

	if (read(fd, &letter, 1) != 1)
		_exit(1);
}

static struct addr
address(const char *text)
{
	struct addr a = { 0 };

	if (addr_parse(&a, text, PROBE_PORT))
		_exit(1);
	return a;
}

static void
configure(const struct probe_net *net, bool is_client)
{
	static const char *const argv[] = { "ip", "-batch", "-", NULL };
	const char *link = is_client ? "c" : "s";
	struct spawn_result result;
	char text[512];

	snprintf(text, sizeof(text),
	    "link set lo up\nlink set %s up\naddr add %s/%d dev %s%s\n"
	    "route add default via %s dev %s\n",
	    link, is_client ? net->client : net->server, net->length, link,
	    net->family == 6 ? " nodad" : "",
	    is_client ? net->client_gateway : net->server_gateway, link);
	if (spawn_run(argv, text, &result) || result.status)
		_exit(1);
	spawn_clear(&result);
}

static int
open_socket(const struct addr *a)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(a->sa.sa_family, SOCK_STREAM, 0);

	/* For connect, accept and recv alike: socket(7). */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

static void
be_client(const struct probe_net *net, int hear, int tell)
{
	struct addr to = address(net->server);
	int fd = open_socket(&to);
	char answer[sizeof(GREETING)];

	say(tell, PROBE_READY);
	wait_for_word(hear);
	if (connect(fd, &to.sa, addr_len(&to))) {
		say(tell, PROBE_FAILED);
		return;
	}
	say(tell, PROBE_CONNECTED);
	if (send(fd, GREETING, sizeof(GREETING), MSG_NOSIGNAL) > 0 &&
	    recv(fd, answer, sizeof(answer), MSG_WAITALL) == sizeof(answer))
		say(tell, PROBE_BYTES);
	else
		say(tell, PROBE_FAILED);
}

static void
be_server(const struct probe_net *net, int tell)
{
	struct addr at = address(net->server);
	int listener = open_socket(&at), fd;
	char text[sizeof(GREETING)];

	if (bind(listener, &at.sa, addr_len(&at)) || listen(listener, 1))
		return;
	say(tell, PROBE_READY);
	fd = accept(listener, NULL, NULL);
	if (fd >= 0 &&
	    recv(fd, text, sizeof(text), MSG_WAITALL) == sizeof(text))
		send(fd, text, sizeof(text), MSG_NOSIGNAL);
	/* Until it is stopped: an early end would be a reset. */
	pause();
}

static void
live(const struct probe_net *net, bool is_client, int hear, int tell)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET))
		_exit(1);
	say(tell, PROBE_BORN);
	wait_for_word(hear);
	configure(net, is_client);
	if (is_client)
		be_client(net, hear, tell);
	else
		be_server(net, tell);
	_exit(0);
}

int
probe_start(struct probe_end *end, const struct probe_net *net, bool is_client)
{
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC))
		return -errno;
	if (pipe2(up, O_CLOEXEC)) {
		close(down[0]);
		close(down[1]);
		return -ENFILE;
	}
	end->pid = fork();
	if (end->pid == 0)
		live(net, is_client, down[0], up[1]);
	close(down[0]);
	close(up[1]);
	end->tell = down[1];
	end->hear = up[0];
	return end->pid < 0 ? -EAGAIN : 0;
}

void
probe_tell(struct probe_end *end)
{
	char letter = 'g';

	/* A dead one is noticed when nothing is heard. */
	if (write(end->tell, &letter, 1) != 1)
		return;
}

int
probe_hear(struct probe_end *end, int ms)
{
	struct pollfd p = { .fd = end->hear, .events = POLLIN };
	char letter;

	if (poll(&p, 1, ms) != 1 || read(end->hear, &letter, 1) != 1)
		return 0;
	return letter;
}

void
probe_stop(struct probe_end *end)
{
	if (end->pid <= 0)
		return;
	kill(end->pid, SIGKILL);
	while (waitpid(end->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(end->tell);
	close(end->hear);
	end->pid = 0;
}
