# What `unatatp check` says and prints, against files; the sample likewise.
check_PROGRAMS += tests/golden/sample
tests_golden_sample_SOURCES = tests/golden/sample.c
tests_golden_sample_LDADD = libunatatp.a $(LIBEVENT_LIBS) $(LIBCONFIG_LIBS)

TESTS += tests/golden/run
EXTRA_DIST += tests/golden/run tests/golden/cases

# After a change of the option table. The expected texts of the cases are
# renewed by `tests/golden/run --update`; look at them with git diff.
update-sample: tests/golden/sample
	tests/golden/sample >$(srcdir)/conf/unatatp.conf
.PHONY: update-sample
