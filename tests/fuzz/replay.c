/*
 * Calls a harness with each file of its corpus, or with the files that it
 * is given: a regression test that needs no libFuzzer.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX (1 << 20)
#define PATIENCE_S 60 /* for one input; a thousandth is usual */

#pragma weak LLVMFuzzerInitialize

static int tell; /* a copy of standard error */

/* The name of the input that hangs is in the line before. */
static void
on_alarm(int number)
{
	static const char text[] = "it takes too long\n";
	ssize_t n = write(tell, text, sizeof(text) - 1);

	(void)number;
	_exit(n ? 1 : 2);
}

/* By read(2): a harness may have put something in file_read's place. */
static size_t
load(const char *path, uint8_t *data)
{
	FILE *in = fopen(path, "r");
	size_t n;

	if (!in) {
		dprintf(tell, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	n = fread(data, 1, INPUT_MAX, in);
	fclose(in);
	return n;
}

/* What is in a file: in memory of its very size, for ASan's sake. */
static void
replay(const char *path)
{
	static uint8_t room[INPUT_MAX];
	size_t n = load(path, room);
	uint8_t *data = malloc(n ? n : 1);

	FUZZ_CHECK(data);
	memcpy(data, room, n);
	dprintf(tell, "%s\n", path);
	alarm(PATIENCE_S);
	LLVMFuzzerTestOneInput(data, n);
	alarm(0);
	free(data);
}

static int
is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The corpus called as this program is. How many inputs it has. */
static int
replay_corpus(const char *program)
{
	const char *slash = strrchr(program, '/'), *top = getenv("srcdir");
	const char *name = slash ? slash + 1 : program;
	struct dirent **entries;
	char folder[512], path[1024];
	int n;

	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
	    top ? top : ".", name);
	n = scandir(folder, &entries, is_input, alphasort);
	if (n < 0)
		dprintf(tell, "%s: %s (srcdir names the source)\n", folder,
		    strerror(errno));
	for (int i = 0; i < n; i++) {
		snprintf(
		    path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		replay(path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n;
}

int
main(int argc, char **argv)
{
	int n = argc - 1;

	tell = dup(STDERR_FILENO);
	signal(SIGALRM, on_alarm);
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc == 1)
		n = replay_corpus(argv[0]);
	if (n > 0)
		dprintf(tell, "%d inputs: good\n", n);
	return n > 0 ? 0 : 1;
}
