/* file: whole files in memory. Any thread. */
#ifndef UNATATP_BASE_FILE_H
#define UNATATP_BASE_FILE_H

#include <stddef.h>

/*
 * Reads all of PATH, MAX bytes at most, and puts a NUL behind it. The
 * caller frees *DATA. 0, or -errno (-EFBIG: longer) and *DATA is NULL.
 */
__attribute__((warn_unused_result)) int file_read(
    const char *path, size_t max, char **data, size_t *len);

#endif
