EXTRA_PROGRAMS = tests/bench/loadgen/loadgen tests/bench/match_time

tests_bench_loadgen_loadgen_SOURCES = \
	tests/bench/loadgen/loadgen.h \
	tests/bench/loadgen/bulk.c \
	tests/bench/loadgen/main.c \
	tests/bench/loadgen/net.c \
	tests/bench/loadgen/request.c \
	tests/bench/loadgen/server.c \
	tests/bench/loadgen/window.c

tests_bench_match_time_SOURCES = tests/bench/match_time.c
tests_bench_match_time_LDADD = libunatatp.a $(LIBEVENT_LIBS) \
	$(LIBCONFIG_LIBS) $(LIBCAPNG_LIBS)

EXTRA_DIST += \
	tests/bench/README.md \
	tests/bench/arms.py \
	tests/bench/arms/haproxy-256k.cfg \
	tests/bench/arms/haproxy-auto.cfg \
	tests/bench/arms/haproxy-splice.cfg \
	tests/bench/arms/haproxy.cfg \
	tests/bench/arms/nat.nft \
	tests/bench/arms/tproxy.nft \
	tests/bench/arms/unatatp-50ms.conf \
	tests/bench/arms/unatatp-auto.conf \
	tests/bench/arms/unatatp-bbr-iw30.conf \
	tests/bench/arms/unatatp-bbr.conf \
	tests/bench/arms/unatatp-bbr-50ms.conf \
	tests/bench/arms/unatatp-copy.conf \
	tests/bench/arms/unatatp-iw30.conf \
	tests/bench/arms/unatatp-splice.conf \
	tests/bench/arms/unatatp.conf \
	tests/bench/results/bench.svg \
	tests/bench/results/concurrency.svg \
	tests/bench/results/link.json \
	tests/bench/results/link.svg \
	tests/bench/results/results.json \
	tests/bench/bench \
	tests/bench/checks.py \
	tests/bench/figures.py \
	tests/bench/lab.py \
	tests/bench/link \
	tests/bench/link_loads.py \
	tests/bench/link_report.py \
	tests/bench/plot.py \
	tests/bench/profile_aid.py \
	tests/bench/report.py \
	tests/bench/watch

BENCH = $(srcdir)/tests/bench/bench --build $(builddir) $(BENCH_FLAGS)

# Needs root; the whole of it takes about half an hour, and an idle machine.
# `make bench BENCH_FLAGS="--figures keepalive"` runs a part.
bench: unatatp $(EXTRA_PROGRAMS)
	$(BENCH)

bench-quick: unatatp $(EXTRA_PROGRAMS)
	$(BENCH) --quick

# The lossy link: hours, unless LINK_FLAGS="--minutes 60" bounds it. The next
# time goes on where this one ended.
bench-link: unatatp tests/lab/linkemu
	$(srcdir)/tests/bench/link --build $(builddir) $(LINK_FLAGS)

# What it costs to be watched: two minutes, BENCH_FLAGS likewise.
bench-watch: unatatp $(EXTRA_PROGRAMS)
	$(srcdir)/tests/bench/watch --build $(builddir) $(BENCH_FLAGS)

.PHONY: bench bench-link bench-quick bench-watch
CLEANFILES += $(EXTRA_PROGRAMS)
