#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_ROOM 65536

/* Reads on until the end; *DATA is the caller's to free in any case. */
static int
read_all(int fd, size_t max, char **data, size_t *len)
{
	size_t room = 0;
	ssize_t n = 1;

	while (n) {
		if (*len + 1 >= room) {
			char *more =
			    realloc(*data, room ? 2 * room : FIRST_ROOM);

			if (!more)
				return -ENOMEM;
			*data = more;
			room = room ? 2 * room : FIRST_ROOM;
		}
		n = read(fd, *data + *len, room - *len - 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			*len += (size_t)n;
		if (*len > max)
			return -EFBIG;
	}
	(*data)[*len] = '\0';
	return 0;
}

int
file_read(const char *path, size_t max, char **data, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	*data = NULL;
	*len = 0;
	if (fd < 0)
		return -errno;
	err = read_all(fd, max, data, len);
	close(fd);
	if (err) {
		free(*data);
		*data = NULL;
	}
	return err;
}
