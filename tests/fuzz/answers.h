/*
 * answers: what programs and files would say, out of one text. Linked in,
 * it stands where spawn and file do. A line "== ip rule show" begins what
 * that command prints, "== !ip rule show" what it fails with, and
 * "== /proc/net/tcp" a file's content; what stands before the first such
 * line is the file "/input". What is not there does not exist.
 */
#ifndef UNATATP_FUZZ_ANSWERS_H
#define UNATATP_FUZZ_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

struct conf;

#define ANSWERS_INPUT "/input"

/* DATA holds until answers_clear. */
void answers_set(const uint8_t *data, size_t size);
void answers_clear(void);

/* The configuration that TEXT is, which has no mistake; the caller's. */
struct conf *answers_conf(const char *text);

#endif
