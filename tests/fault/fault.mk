# Limits and storms, with the lab of tests/net.
TESTS += tests/fault/run
EXTRA_DIST += tests/fault/run \
	tests/fault/background.py \
	tests/fault/conftest.py \
	tests/fault/icmp.py \
	tests/fault/inject.py \
	tests/fault/talk.py \
	tests/fault/test_aborts.py \
	tests/fault/test_crash.py \
	tests/fault/test_descriptors.py \
	tests/fault/test_flood.py \
	tests/fault/test_inject.py \
	tests/fault/test_inject_start.py \
	tests/fault/test_limits.py \
	tests/fault/test_matrix.py \
	tests/fault/test_path.py \
	tests/fault/test_scarce.py \
	tests/fault/test_storms.py \
	tests/fault/test_traps.py

# Preloaded into the program: no part of it, and built without its flags.
check_DATA += tests/fault/inject.so
CLEANFILES += tests/fault/inject.so
EXTRA_DIST += tests/fault/inject.c
tests/fault/inject.so: tests/fault/inject.c
	$(AM_V_CC)$(MKDIR_P) tests/fault && \
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -shared -fPIC -o $@ \
		$(srcdir)/tests/fault/inject.c -ldl -pthread

# All of it, FAULT_REPEAT times over, and every call and allocation instead of
# a few of each; takes hours. FAULT="-k matrix": a part (pytest's arguments).
FAULT_REPEAT = 10
FAULT =
fault-long: unatatp tests/fault/inject.so
	FAULT_REPEAT=$(FAULT_REPEAT) $(srcdir)/tests/fault/run -s \
		-o faulthandler_timeout=0 $(FAULT)
.PHONY: fault-long
