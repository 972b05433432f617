# libFuzzer harnesses. Here each is a plain program that replays its corpus,
# whatever compiler and sanitizers the build has; `make fuzz` builds them
# anew with clang (libfuzzer.make) and lets them look for more.
fuzz_tests = \
	tests/fuzz/addr \
	tests/fuzz/conf \
	tests/fuzz/value
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)

fuzz_common = tests/fuzz/answers.c tests/fuzz/answers.h \
	tests/fuzz/fuzz.c tests/fuzz/fuzz.h tests/fuzz/replay.c

tests_fuzz_addr_SOURCES = tests/fuzz/addr.c $(fuzz_common)
tests_fuzz_addr_LDADD = $(unatatp_LDADD)
tests_fuzz_conf_SOURCES = tests/fuzz/conf.c $(fuzz_common)
tests_fuzz_conf_LDADD = $(unatatp_LDADD)
tests_fuzz_value_SOURCES = tests/fuzz/value.c $(fuzz_common)
tests_fuzz_value_LDADD = $(unatatp_LDADD)

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
	about_addr='base/addr.c' \
	about_conf='conf' \
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
	rm -rf fuzz

.PHONY: fuzz fuzz-coverage update-corpus
