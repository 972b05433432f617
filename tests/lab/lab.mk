# The lossy link of the tests, the bench and the demo.
check_PROGRAMS += tests/lab/linkemu
tests_lab_linkemu_SOURCES = \
	tests/lab/control.c \
	tests/lab/control.h \
	tests/lab/linkemu.c \
	tests/lab/loss.c \
	tests/lab/loss.h \
	tests/lab/tally.c \
	tests/lab/tally.h \
	tests/lab/tun.c \
	tests/lab/tun.h \
	tests/lab/wire.c \
	tests/lab/wire.h
tests_lab_linkemu_LDADD = $(JANSSON_LIBS)
