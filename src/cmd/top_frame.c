#include "cmd/top_frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
top_frame_begin(struct top_frame *f, int width, int height)
{
	struct top_piece *pieces = f->pieces;
	size_t room = f->room;

	*f = (struct top_frame){
		.width = width,
		.height = height,
		.pieces = pieces,
		.room = room,
	};
}

void
top_frame_clear(struct top_frame *f)
{
	free(f->pieces);
	*f = (struct top_frame){ 0 };
}

static struct top_piece *
new_piece(struct top_frame *f)
{
	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 256;
		struct top_piece *more =
		    reallocarray(f->pieces, room, sizeof(*more));

		if (!more)
			return NULL;
		f->pieces = more;
		f->room = room;
	}
	return &f->pieces[f->n];
}

void
top_frame_add(
    struct top_frame *f, enum top_style style, const char *format, ...)
{
	struct top_piece *piece = new_piece(f);
	int room = f->width - f->column;
	va_list ap;

	if (!piece || room <= 0 || f->line >= f->height)
		return;
	piece->style = style;
	piece->line = f->line;
	piece->column = f->column;
	va_start(ap, format);
	vsnprintf(piece->text, sizeof(piece->text), format, ap);
	va_end(ap);
	if (strlen(piece->text) > (size_t)room)
		piece->text[room] = '\0';
	f->column += (int)strlen(piece->text);
	f->n++;
}

void
top_frame_next_line(struct top_frame *f)
{
	f->line++;
	f->column = 0;
}

int
top_frame_left(const struct top_frame *f)
{
	return f->height - f->line;
}

void
top_frame_print(const struct top_frame *f)
{
	int line = 0;

	for (size_t i = 0; i < f->n; i++) {
		for (; line < f->pieces[i].line; line++)
			putchar('\n');
		fputs(f->pieces[i].text, stdout);
	}
	putchar('\n');
}
