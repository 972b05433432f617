noinst_LIBRARIES += libunatatp.a
libunatatp_a_SOURCES = \
	src/base/addr.c src/base/addr.h \
	src/base/clock.c src/base/clock.h \
	src/base/control_client.c src/base/control_client.h \
	src/base/file.c src/base/file.h \
	src/base/localaddr.c src/base/localaddr.h \
	src/base/log.c src/base/log.h \
	src/base/mailbox.c src/base/mailbox.h \
	src/base/notify.c src/base/notify.h \
	src/base/poller.c src/base/poller.h \
	src/base/privs.c src/base/privs.h \
	src/base/sandbox.c src/base/sandbox.h \
	src/base/sandbox_files.c \
	src/base/sock.c src/base/sock.h \
	src/base/sock_buffer.c \
	src/base/sock_diag.c \
	src/base/sock_options.c \
	src/base/sock_unix.c src/base/sock_unix.h \
	src/base/spawn.c src/base/spawn.h \
	src/base/window.h \
	src/base/window_why.c \
	src/conf/conf.c src/conf/conf.h \
	src/conf/conf_check.c \
	src/conf/conf_congestion.c \
	src/conf/conf_lists.c \
	src/conf/conf_print.c \
	src/conf/conf_read.c \
	src/conf/conf_text.c src/conf/conf_text.h \
	src/conf/conf_value.c \
	src/conf/option.c src/conf/option.h \
	src/conf/policy.c src/conf/policy.h \
	src/conf/prefix_set.c src/conf/prefix_set.h \
	src/conf/reader.h \
	src/conf/report.c src/conf/report.h \
	src/conf/suggest.c src/conf/suggest.h \
	src/conf/value.c src/conf/value.h \
	src/gateway/change.c \
	src/gateway/firewall.c src/gateway/firewall.h \
	src/gateway/match.c src/gateway/match.h \
	src/gateway/pending.c src/gateway/pending.h \
	src/gateway/plan.c src/gateway/plan.h \
	src/gateway/recent.c src/gateway/recent.h \
	src/gateway/rules.h \
	src/gateway/rules_iptables.c \
	src/gateway/rules_nft.c \
	src/gateway/state.c src/gateway/state.h \
	src/gateway/state_filter.c \
	src/gateway/status.c \
	src/gateway/want.c \
	src/doctor/arena.c src/doctor/arena.h \
	src/doctor/check_capture.c \
	src/doctor/check_filter.c \
	src/doctor/check_kernel.c \
	src/doctor/check_process.c \
	src/doctor/check_route.c \
	src/doctor/check_rule.c \
	src/doctor/check_sysctl.c \
	src/doctor/check_source.c \
	src/doctor/checks.h \
	src/doctor/doctor.c src/doctor/doctor.h \
	src/doctor/facts.c src/doctor/facts.h \
	src/doctor/facts_daemon.c \
	src/doctor/facts_listener.c \
	src/doctor/mend.c \
	src/doctor/probe.c src/doctor/probe.h \
	src/doctor/probe_end.c \
	src/doctor/ruleset.c src/doctor/ruleset.h \
	src/doctor/ruleset_iptables.c \
	src/doctor/ruleset_match.c \
	src/doctor/ruleset_nft.c \
	src/doctor/ruleset_place.c \
	src/doctor/ruleset_walk.c \
	src/doctor/words.c src/doctor/words.h \
	src/flow/chooser.c src/flow/chooser.h \
	src/flow/choosers.c src/flow/choosers.h \
	src/flow/ending.c src/flow/ending.h \
	src/flow/flow.c src/flow/flow.h \
	src/flow/flow_auto.c \
	src/flow/flow_dial.c \
	src/flow/flow_limit.c src/flow/flow_limit.h \
	src/flow/flow_log.c src/flow/flow_log.h \
	src/flow/flow_open.c \
	src/flow/flow_view.c src/flow/flow_view.h \
	src/flow/histogram.c src/flow/histogram.h \
	src/flow/latency.c src/flow/latency.h \
	src/flow/listener.c src/flow/listener.h \
	src/flow/pipe_pool.c src/flow/pipe_pool.h \
	src/flow/policy_stats.c src/flow/policy_stats.h \
	src/flow/relay.c src/flow/relay.h \
	src/flow/relay_buffer.c \
	src/flow/relay_splice.c \
	src/flow/sample.c src/flow/sample.h \
	src/flow/sources.c src/flow/sources.h \
	src/flow/step.h \
	src/flow/stats.c src/flow/stats.h \
	src/daemon/background.c src/daemon/background.h \
	src/daemon/confine.c src/daemon/confine.h \
	src/daemon/console.c src/daemon/console.h \
	src/daemon/console_flows.c \
	src/daemon/console_policies.c \
	src/daemon/console_show.c \
	src/daemon/control.c src/daemon/control.h \
	src/daemon/control_socket.c src/daemon/control_socket.h \
	src/daemon/daemon.c src/daemon/daemon.h \
	src/daemon/http.c src/daemon/http.h \
	src/daemon/inherit.c src/daemon/inherit.h \
	src/daemon/listen.c src/daemon/listen.h \
	src/daemon/metrics.c src/daemon/metrics.h \
	src/daemon/metrics_policy.c src/daemon/metrics_table.h \
	src/daemon/needs.c src/daemon/needs.h \
	src/daemon/page.h \
	src/daemon/policies.c src/daemon/policies.h \
	src/daemon/process.c src/daemon/process.h \
	src/daemon/reload.c src/daemon/reload.h \
	src/daemon/request.c src/daemon/request.h \
	src/daemon/signals.c src/daemon/signals.h \
	src/daemon/state.h \
	src/daemon/sampler.c src/daemon/sampler.h \
	src/daemon/status.c src/daemon/status.h \
	src/daemon/supervise.c src/daemon/supervise.h \
	src/daemon/trim.c src/daemon/trim.h \
	src/daemon/web.c src/daemon/web.h \
	src/daemon/worker.c src/daemon/worker.h \
	src/cmd/args.c src/cmd/args.h \
	src/cmd/args_rows.c \
	src/cmd/ask.c src/cmd/ask.h \
	src/cmd/check.c \
	src/cmd/command.c src/cmd/command.h \
	src/cmd/doctor.c \
	src/cmd/firewall.c \
	src/cmd/help.c src/cmd/help.h \
	src/cmd/run.c \
	src/cmd/show.c \
	src/cmd/show_flow.c src/cmd/show_flow.h \
	src/cmd/show_policies.c src/cmd/show_policies.h \
	src/cmd/tell.c \
	src/cmd/top.c \
	src/cmd/top_frame.c src/cmd/top_frame.h \
	src/cmd/top_screen.c src/cmd/top_screen.h \
	src/cmd/top_view.c src/cmd/top_view.h

if HAVE_BPF
libunatatp_a_SOURCES += src/base/window.c
else
libunatatp_a_SOURCES += src/base/window_none.c
endif

if HAVE_SECCOMP
libunatatp_a_SOURCES += src/base/sandbox_calls.c
else
libunatatp_a_SOURCES += src/base/sandbox_none.c
endif

# The status page, as bytes in C.
nodist_libunatatp_a_SOURCES = src/daemon/page.c
EXTRA_DIST += src/daemon/page.html
CLEANFILES += src/daemon/page.c

src/daemon/page.c: src/daemon/page.html
	$(AM_V_GEN)$(MKDIR_P) src/daemon && { \
		echo '#include "daemon/page.h"' && \
		echo 'const char page_html[] = {' && \
		od -A n -v -t x1 $(srcdir)/src/daemon/page.html | \
			sed 's/[0-9a-f][0-9a-f]/0x&,/g' && \
		echo '0 };'; } >$@.new && mv $@.new $@

sbin_PROGRAMS += unatatp
unatatp_SOURCES = src/main.c
unatatp_LDADD = libunatatp.a $(LIBEVENT_EXTRA_LIBS) $(LIBEVENT_LIBS) \
	$(LIBCONFIG_LIBS) $(LIBCAPNG_LIBS) $(SECCOMP_LIBS) $(JANSSON_LIBS) $(NCURSES_LIBS)
