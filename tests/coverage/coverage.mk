# Which lines of src no test reaches: the suites once more, with a build of
# its own in the folder coverage. Ends with 1 below COVERAGE_LEAST percent.
COVERAGE_LEAST = 90
COVERAGE_TESTS = $(unit_tests) $(fuzz_tests) tests/golden/run \
	tests/net/run tests/fault/run

EXTRA_DIST += tests/coverage/run tests/coverage/report

if COVERAGE
libunatatp_a_SOURCES += tests/coverage/exit.c
endif

coverage:
	+$(srcdir)/tests/coverage/run '$(COVERAGE_TESTS)' $(COVERAGE_LEAST)

distclean-local:
	rm -rf coverage

.PHONY: coverage
