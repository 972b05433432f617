# libFuzzer harnesses. Here each is a plain program that replays its corpus,
# whatever compiler and sanitizers the build has; `make fuzz` builds them
# anew with clang (libfuzzer.make) and lets them look for more.
fuzz_tests = \
	tests/fuzz/addr \
	tests/fuzz/client \
	tests/fuzz/conf \
	tests/fuzz/control \
	tests/fuzz/doctor \
	tests/fuzz/environment \
	tests/fuzz/firewall \
	tests/fuzz/http \
	tests/fuzz/relay \
	tests/fuzz/value
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)

fuzz_common = tests/fuzz/answers.c tests/fuzz/answers.h \
	tests/fuzz/fuzz.c tests/fuzz/fuzz.h tests/fuzz/replay.c

tests_fuzz_addr_SOURCES = tests/fuzz/addr.c $(fuzz_common)
tests_fuzz_addr_LDADD = $(unatatp_LDADD)
tests_fuzz_client_SOURCES = tests/fuzz/client.c $(fuzz_common)
tests_fuzz_client_LDADD = $(unatatp_LDADD)
tests_fuzz_client_LDFLAGS = $(AM_LDFLAGS) $(wrap_client)
tests_fuzz_conf_SOURCES = tests/fuzz/conf.c $(fuzz_common)
tests_fuzz_conf_LDADD = $(unatatp_LDADD)
tests_fuzz_control_SOURCES = tests/fuzz/control.c $(fuzz_common)
tests_fuzz_control_LDADD = $(unatatp_LDADD)
tests_fuzz_control_LDFLAGS = $(AM_LDFLAGS) $(wrap_control)
tests_fuzz_doctor_SOURCES = tests/fuzz/doctor.c $(fuzz_common)
tests_fuzz_doctor_LDADD = $(unatatp_LDADD)
tests_fuzz_doctor_LDFLAGS = $(AM_LDFLAGS) $(wrap_doctor)
tests_fuzz_environment_SOURCES = tests/fuzz/environment.c $(fuzz_common)
tests_fuzz_environment_LDADD = $(unatatp_LDADD)
tests_fuzz_environment_LDFLAGS = $(AM_LDFLAGS) $(wrap_environment)
tests_fuzz_firewall_SOURCES = tests/fuzz/firewall.c $(fuzz_common)
tests_fuzz_firewall_LDADD = $(unatatp_LDADD)
tests_fuzz_http_SOURCES = tests/fuzz/http.c $(fuzz_common)
tests_fuzz_http_LDADD = $(unatatp_LDADD)
tests_fuzz_relay_SOURCES = tests/fuzz/relay.c tests/fuzz/kernel.c \
	tests/fuzz/kernel.h tests/fuzz/kernel_calls.c $(fuzz_common)
tests_fuzz_relay_LDADD = $(unatatp_LDADD)
tests_fuzz_relay_LDFLAGS = $(AM_LDFLAGS) $(wrap_relay)
tests_fuzz_value_SOURCES = tests/fuzz/value.c $(fuzz_common)
tests_fuzz_value_LDADD = $(unatatp_LDADD)

# What stands in another function's place, by the linker.
wrap_client = -Wl,--wrap=sock_unix_connect
wrap_control = -Wl,--wrap=worker_send -Wl,--wrap=flow_look \
	-Wl,--wrap=flow_look_leave -Wl,--wrap=flow_set_close \
	-Wl,--wrap=reload_begin -Wl,--wrap=signals_drain \
	-Wl,--wrap=sock_unix_peer
wrap_doctor = -Wl,--wrap=opendir
wrap_environment = -Wl,--wrap=sock_adopt -Wl,--wrap=log_line
wrap_relay = -Wl,--wrap=recv -Wl,--wrap=send -Wl,--wrap=splice \
	-Wl,--wrap=pipe2 -Wl,--wrap=evbuffer_new -Wl,--wrap=evbuffer_add \
	-Wl,--wrap=evbuffer_add_reference \
	-Wl,--wrap=evbuffer_write -Wl,--wrap=sock_is_dead \
	-Wl,--wrap=sock_is_writable -Wl,--wrap=sock_at_mark \
	-Wl,--wrap=sock_unacked -Wl,--wrap=sock_shut_write \
	-Wl,--wrap=poller_add -Wl,--wrap=poller_again \
	-Wl,--wrap=poller_forget

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/libfuzzer.make

FUZZ_SECONDS = 60
FUZZ =

# What make knows of this build, for that of libFuzzer; and which files of
# src each harness is about, for `make fuzz-coverage`.
fuzz_flags = $(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) \
	$(LIBEVENT_CFLAGS) $(LIBCONFIG_CFLAGS) $(LIBCAPNG_CFLAGS) \
	$(JANSSON_CFLAGS) $(NCURSES_CFLAGS)
fuzz_sources = $(libunatatp_a_SOURCES) $(nodist_libunatatp_a_SOURCES)
fuzz_libs = $(LIBEVENT_EXTRA_LIBS) $(LIBEVENT_LIBS) $(LIBCONFIG_LIBS) \
	$(LIBCAPNG_LIBS) $(JANSSON_LIBS) $(NCURSES_LIBS)
FUZZ_MAKE = @$(MAKE) --no-print-directory -f $(srcdir)/tests/fuzz/libfuzzer.make \
	top='$(srcdir)' sources='$(fuzz_sources)' tests='$(fuzz_tests)' \
	flags='$(fuzz_flags)' libs='$(fuzz_libs)' \
	wrap_client='$(wrap_client)' \
	wrap_control='$(wrap_control)' wrap_doctor='$(wrap_doctor)' \
	wrap_environment='$(wrap_environment)' wrap_relay='$(wrap_relay)' \
	more_relay='tests/fuzz/kernel.o tests/fuzz/kernel_calls.o' \
	about_addr='base/addr.c' \
	about_client='base/control_client.c' \
	about_conf='conf' \
	about_control='daemon/control.c daemon/console.c daemon/request.c \
		daemon/console_flows.c' \
	about_doctor='doctor/check doctor/facts doctor/ruleset doctor/words' \
	about_environment='base/notify.c daemon/inherit.c' \
	about_firewall='gateway/state.c gateway/state_filter.c \
		gateway/plan.c gateway/want.c' \
	about_http='daemon/http.c daemon/status.c' \
	about_relay='flow/relay.c flow/relay_buffer.c flow/relay_splice.c \
		flow/pipe_pool.c' \
	about_value='conf/value.c daemon/request.c' \
	seconds='$(FUZZ_SECONDS)' only='$(FUZZ)'

# Each harness, or FUZZ=NAME alone, for FUZZ_SECONDS.
fuzz: src/daemon/page.c
	$(FUZZ_MAKE) run

# What was found since, as far as it reaches more code, into the tree.
update-corpus: src/daemon/page.c
	$(FUZZ_MAKE) update

fuzz-coverage: src/daemon/page.c
	$(FUZZ_MAKE) coverage

mostlyclean-local:
	rm -rf fuzz gates

.PHONY: fuzz fuzz-coverage update-corpus
