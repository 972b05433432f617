/*
 * state: what the rooms of main's thread share: start and end (daemon),
 * reload, signals, and what speaks over the control socket. daemon_run
 * owns it; workers never see it but through their messages to main.
 */
#ifndef UNATATP_DAEMON_STATE_H
#define UNATATP_DAEMON_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/control_socket.h"
#include "daemon/daemon.h"
#include "daemon/inherit.h"
#include "daemon/supervise.h"
#include "daemon/worker.h"

struct console;
struct event;
struct event_base;
struct localaddr_watch;
struct mailbox;
struct policies;
struct sampler;
struct web;

enum state_signal { ON_HUP, ON_TERM, ON_INT, ON_USR1, SIGNALS };

struct daemon {
	const struct daemon_args *args;
	char *path; /* absolute; NULL: the built-in one */
	struct conf *conf;
	struct event_base *base;
	struct mailbox *mailbox;
	struct event *signals[SIGNALS];
	struct event *reload; /* a burst of HUPs makes it active once */
	struct event *drain_timer;
	struct localaddr_watch *watch;
	struct inherit passed;
	struct supervise supervise;
	struct worker_shared shared;
	struct worker **workers;
	_Atomic int64_t live_total;
	struct control_socket socket;
	struct policies *policies;
	struct console *console; /* NULL: no control socket */
	struct sampler *sampler;
	struct web *web;
	int64_t started_ms; /* clock_ms */
	int64_t loaded_at;  /* when conf came: seconds since 1970 */
	uint64_t reloads_good, reloads_refused;
	bool last_refused; /* the last reload */
	size_t n_adopting; /* workers that have yet to take a conf over */
	size_t n_drained;  /* those without a flow, in the drain */
	bool reloading;	   /* and not all workers have taken it over */
	bool draining;
};

#endif
