# What `unatatp check` says and prints, against files; the sample and the
# shells' completions likewise.
check_PROGRAMS += tests/golden/sample
tests_golden_sample_SOURCES = tests/golden/sample.c
tests_golden_sample_LDADD = libunatatp.a $(LIBEVENT_LIBS) $(LIBCONFIG_LIBS)

check_PROGRAMS += tests/golden/completions
tests_golden_completions_SOURCES = tests/golden/completions.c
tests_golden_completions_LDADD = $(unatatp_LDADD)

TESTS += tests/golden/run
EXTRA_DIST += tests/golden/run tests/golden/cases

# After a change of the option table. The expected texts of the cases are
# renewed by `tests/golden/run --update`; look at them with git diff.
update-sample: tests/golden/sample
	tests/golden/sample >$(srcdir)/conf/unatatp.conf

# After a change of the tables of commands and options.
update-completions: tests/golden/completions
	tests/golden/completions bash >$(srcdir)/contrib/completions/unatatp
	tests/golden/completions zsh >$(srcdir)/contrib/completions/_unatatp
	tests/golden/completions fish \
		>$(srcdir)/contrib/completions/unatatp.fish

.PHONY: update-sample update-completions
