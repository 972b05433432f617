#include "doctor/words.h"

#include <stdbool.h>

/* Takes the word at IN out of its quotes, where it stands. What follows. */
static char *
unquote(char *in)
{
	bool quoted = false;
	char *to = in;

	for (; *in && (quoted || *in != ' '); in++) {
		if (*in == '"')
			quoted = !quoted;
		else if (*in == '\\' && in[1])
			*to++ = *++in;
		else
			*to++ = *in;
	}
	if (*in)
		in++;
	*to = '\0';
	return in;
}

size_t
words_split(struct arena *arena, const char *text, char **words, size_t most)
{
	char *at = arena_printf(arena, "%s", text);
	size_t n = 0;

	while (n < most) {
		while (*at == ' ')
			at++;
		if (!*at)
			break;
		words[n++] = at;
		at = unquote(at);
	}
	return n;
}
