# One cmocka program a module.
if HAVE_CMOCKA
unit_tests = \
	tests/unit/test_addr \
	tests/unit/test_chooser \
	tests/unit/test_conf \
	tests/unit/test_histogram \
	tests/unit/test_latency \
	tests/unit/test_link_loss \
	tests/unit/test_link_wire \
	tests/unit/test_log \
	tests/unit/test_mailbox \
	tests/unit/test_match \
	tests/unit/test_memory \
	tests/unit/test_notify \
	tests/unit/test_option \
	tests/unit/test_policy \
	tests/unit/test_poller \
	tests/unit/test_prefix_set \
	tests/unit/test_relay \
	tests/unit/test_request \
	tests/unit/test_sandbox \
	tests/unit/test_sock \
	tests/unit/test_sources \
	tests/unit/test_spawn
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

unit_libs = libunatatp.a $(LIBEVENT_LIBS) $(LIBCONFIG_LIBS) $(CMOCKA_LIBS)
unit_helpers = tests/unit/unit.c tests/unit/unit.h

tests_unit_test_addr_SOURCES = tests/unit/test_addr.c $(unit_helpers)
tests_unit_test_addr_LDADD = $(unit_libs)
tests_unit_test_chooser_SOURCES = tests/unit/test_chooser.c
tests_unit_test_chooser_LDADD = $(unit_libs)
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c $(unit_helpers)
tests_unit_test_conf_LDADD = $(unit_libs)
tests_unit_test_histogram_SOURCES = tests/unit/test_histogram.c
tests_unit_test_histogram_LDADD = $(unit_libs)
tests_unit_test_latency_SOURCES = tests/unit/test_latency.c
tests_unit_test_latency_LDADD = $(unit_libs)
tests_unit_test_link_loss_SOURCES = tests/unit/test_link_loss.c \
	tests/lab/loss.c
tests_unit_test_link_loss_LDADD = $(unit_libs)
tests_unit_test_link_wire_SOURCES = tests/unit/test_link_wire.c \
	tests/lab/loss.c tests/lab/wire.c
tests_unit_test_link_wire_LDADD = $(unit_libs)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(unit_libs)
tests_unit_test_mailbox_SOURCES = tests/unit/test_mailbox.c
tests_unit_test_mailbox_LDADD = $(unit_libs)
tests_unit_test_notify_SOURCES = tests/unit/test_notify.c
tests_unit_test_notify_LDADD = $(unit_libs)
tests_unit_test_match_SOURCES = tests/unit/test_match.c $(unit_helpers)
tests_unit_test_match_LDADD = $(unit_libs)
tests_unit_test_memory_SOURCES = tests/unit/test_memory.c $(unit_helpers)
tests_unit_test_memory_LDADD = libunatatp.a $(LIBEVENT_EXTRA_LIBS) \
	$(LIBEVENT_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc \
	-Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=reallocarray \
	-Wl,--wrap=strdup -Wl,--wrap=strndup -Wl,--wrap=free \
	-Wl,--wrap=event_new -Wl,--wrap=event_free -Wl,--wrap=event_add \
	-Wl,--wrap=evhttp_new -Wl,--wrap=evhttp_free \
	-Wl,--wrap=evhttp_bind_listener -Wl,--wrap=open_memstream \
	-Wl,--wrap=fclose
tests_unit_test_option_SOURCES = tests/unit/test_option.c $(unit_helpers)
tests_unit_test_option_LDADD = $(unit_libs)
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c $(unit_helpers)
tests_unit_test_policy_LDADD = $(unit_libs)
tests_unit_test_poller_SOURCES = tests/unit/test_poller.c
tests_unit_test_poller_LDADD = $(unit_libs)
tests_unit_test_prefix_set_SOURCES = tests/unit/test_prefix_set.c \
	$(unit_helpers)
tests_unit_test_prefix_set_LDADD = $(unit_libs)
tests_unit_test_relay_SOURCES = tests/unit/test_relay.c
tests_unit_test_relay_LDADD = $(unit_libs)
tests_unit_test_request_SOURCES = tests/unit/test_request.c
tests_unit_test_request_LDADD = $(unit_libs)
tests_unit_test_sandbox_SOURCES = tests/unit/test_sandbox.c
tests_unit_test_sandbox_LDADD = $(unit_libs) $(LIBCAPNG_LIBS) $(SECCOMP_LIBS)
tests_unit_test_sock_SOURCES = tests/unit/test_sock.c
tests_unit_test_sock_LDADD = $(unit_libs)
tests_unit_test_sources_SOURCES = tests/unit/test_sources.c
tests_unit_test_sources_LDADD = $(unit_libs)
tests_unit_test_spawn_SOURCES = tests/unit/test_spawn.c
tests_unit_test_spawn_LDADD = $(unit_libs)
else
TESTS += tests/unit/CMOCKA-IS-MISSING
endif
EXTRA_DIST += tests/unit/CMOCKA-IS-MISSING
