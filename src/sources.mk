noinst_LIBRARIES += libunatatp.a
libunatatp_a_SOURCES = \
	src/base/addr.c src/base/addr.h \
	src/base/clock.c src/base/clock.h \
	src/base/list.h \
	src/base/localaddr.c src/base/localaddr.h \
	src/base/log.c src/base/log.h \
	src/base/mailbox.c src/base/mailbox.h \
	src/base/privs.c src/base/privs.h \
	src/base/sock.c src/base/sock.h \
	src/base/sock_options.c \
	src/conf/conf.c src/conf/conf.h \
	src/conf/conf_print.c \
	src/conf/conf_read.c \
	src/conf/option.c src/conf/option.h \
	src/conf/policy.c src/conf/policy.h \
	src/conf/prefix_set.c src/conf/prefix_set.h \
	src/flow/ending.c src/flow/ending.h \
	src/flow/flow.c src/flow/flow.h \
	src/flow/flow_open.c \
	src/flow/listener.c src/flow/listener.h \
	src/flow/relay.c src/flow/relay.h \
	src/flow/relay_buffer.c \
	src/flow/stats.c src/flow/stats.h \
	src/daemon/daemon.c src/daemon/daemon.h \
	src/daemon/worker.c src/daemon/worker.h \
	src/cmd/cmd.h \
	src/cmd/check.c \
	src/cmd/run.c

sbin_PROGRAMS += unatatp
unatatp_SOURCES = src/main.c
unatatp_LDADD = libunatatp.a $(LIBEVENT_LIBS) $(LIBCONFIG_LIBS) \
	$(LIBCAPNG_LIBS)
