#include "flow/ending.h"

static const struct {
	const char *word;
	bool resets;
} rows[] = {
#define X(name, word, rst, help) { word, rst },
	ENDING_TABLE(X)
#undef X
};

const char *
ending_word(enum ending ending)
{
	return rows[ending].word;
}

bool
ending_resets(enum ending ending)
{
	return rows[ending].resets;
}
