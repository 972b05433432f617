# `make gates': what finds mistakes without a test that looks for them. Each
# is a target of its own (gate-NAME), GATES names those that `make gates' runs.
# They build below the folder gates, and leave what they said in its logs.
EXTRA_DIST += .clang-tidy \
	tests/gates/build \
	tests/gates/cppcheck \
	tests/gates/cppcheck.cfg \
	tests/gates/cppcheck.known \
	tests/gates/run \
	tests/gates/tidy \
	tests/gates/valgrind \
	tests/gates/valgrind.known

GATES = style cppcheck tidy analyzer valgrind address thread

# The tests that run a program of this build. GATE_TESTS=... for fewer;
# PYTEST_ADDOPTS='-k NAME' reaches those that pytest runs.
gate_tests = tests/golden/run $(unit_tests) $(fuzz_tests) \
	tests/fault/run tests/net/run
GATE_TESTS = $(gate_tests)

# A handful that goes through much, and measures no time: valgrind is slow.
VALGRIND_NET = splice-4 and not v6 and (test_control.py or test_half_close.py)

gate_env = top='$(abs_top_srcdir)' make='$(MAKE)' \
	flags='$(DEFS) $(DEFAULT_INCLUDES) $(AM_CPPFLAGS) -std=gnu11 \
		$(LIBEVENT_CFLAGS) $(LIBCONFIG_CFLAGS) $(LIBCAPNG_CFLAGS) \
		$(JANSSON_CFLAGS) $(NCURSES_CFLAGS) $(SECCOMP_CFLAGS)'

gates:
	@$(gate_env) $(srcdir)/tests/gates/run $(GATES)

gate-style:
	@$(MAKE) --no-print-directory check TESTS='$(style_tests)'

gate-cppcheck:
	@$(gate_env) $(srcdir)/tests/gates/cppcheck

gate-tidy: src/daemon/page.c
	@$(gate_env) $(srcdir)/tests/gates/tidy

# gcc 12 takes whatever is stored through a pointer for a leak (nine of nine
# were none); ASan and valgrind watch leaks.
gate-analyzer:
	@$(gate_env) $(srcdir)/tests/gates/build analyzer '' \
		CC=gcc CFLAGS='-g -O2 -fanalyzer -Wno-analyzer-malloc-leak'

gate-address:
	@$(gate_env) ASAN_OPTIONS=detect_stack_use_after_return=1 \
		UBSAN_OPTIONS=print_stacktrace=1 \
		$(srcdir)/tests/gates/build address '$(GATE_TESTS)' \
		--enable-sanitizers=address,undefined

gate-thread:
	@$(gate_env) TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
		$(srcdir)/tests/gates/build thread '$(GATE_TESTS)' \
		--enable-sanitizers=thread

gate-valgrind: all
	@$(gate_env) net='$(VALGRIND_NET)' \
		$(srcdir)/tests/gates/valgrind '$(unit_tests)'

.PHONY: gates gate-style gate-cppcheck gate-tidy gate-analyzer gate-address \
	gate-thread gate-valgrind
