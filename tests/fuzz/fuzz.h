/*
 * fuzz: what the harnesses share. Each is a program of one file, which has
 * LLVMFuzzerTestOneInput: libFuzzer calls it with what it makes up
 * (`make fuzz'), replay.c with what lies in tests/fuzz/corpus. One thread.
 */
#ifndef UNATATP_FUZZ_H
#define UNATATP_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's names: the harness defines the first, and may the second. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must hold whatever comes in. */
#define FUZZ_CHECK(what) \
	((what) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #what))
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* A copy with a NUL behind it, the caller's to free. */
char *fuzz_text(const uint8_t *data, size_t size);

/* How many descriptors below 256 are open. */
int fuzz_open_fds(void);

#endif
