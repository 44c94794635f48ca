/* The guest's text screen as cells and as text. */
#include "console/screen.h"

#include <stdlib.h>
#include <string.h>

#include "console/cp437.h"

static unsigned
least(unsigned a, unsigned b)
{
	return (a < b ? a : b);
}

/* Copy a row's cells; those that are not in memory stay blank. */
static void
capture_row(struct screen *screen, const struct memory *mem, const struct screen_layout *layout,
    unsigned row)
{
	uint64_t first = (uint64_t)layout->start + (uint64_t)row * layout->stride;
	unsigned done = 0;

	while (done < screen->columns) {
		uint32_t offset = (uint32_t)((first + done) * 2 % layout->size);
		/* Up to the window's end, where addresses wrap. */
		unsigned count = least(screen->columns - done, (layout->size - offset) / 2);

		memory_read(mem, layout->base + offset, &screen->cells[row][done],
		    count * sizeof(struct screen_cell));
		done += count;
	}
}

void
screen_capture(struct screen *screen, const struct memory *mem, const struct screen_layout *layout)
{
	memset(screen, 0, sizeof(*screen));
	screen->text = layout->text;
	if (!layout->text || layout->size < 2 || layout->size % 2 != 0)
		return;
	screen->columns = least(layout->columns, SCREEN_COLUMNS_MAX);
	screen->rows = least(layout->rows, SCREEN_ROWS_MAX);
	screen->cursor_column = layout->cursor_column;
	screen->cursor_row = layout->cursor_row;
	screen->cursor_on = layout->cursor_on && !layout->blank &&
	    layout->cursor_column < screen->columns && layout->cursor_row < screen->rows;
	screen->cell_height = least(layout->cell_height, SCREEN_GLYPH_LINES);
	screen->cursor_first = layout->cursor_first;
	screen->cursor_last = layout->cursor_last;
	screen->blink = layout->blink;
	if (layout->blank)
		return;
	memcpy(screen->colours, layout->colours, sizeof(screen->colours));
	for (unsigned row = 0; row < screen->rows; row++)
		capture_row(screen, mem, layout, row);
}

/* Whether TEXT stands in CELLS from column AT on. */
static bool
shows(const struct screen_cell *cells, unsigned columns, unsigned at, const char *text)
{
	uint32_t code;

	for (; (code = utf8_get(&text)) != 0; at++)
		if (code != (at < columns ? cp437_glyph(cells[at].ch) : ' '))
			return (false);
	return (true);
}

bool
screen_find(const struct screen *screen, const char *text)
{
	for (unsigned row = 0; row < screen->rows; row++)
		for (unsigned column = 0; column < screen->columns; column++)
			if (shows(screen->cells[row], screen->columns, column, text))
				return (true);
	return (false);
}

/* How many of a row's cells are left without its trailing blanks. */
static unsigned
row_length(const struct screen *screen, unsigned row)
{
	unsigned length = screen->columns;

	while (length > 0 && cp437_glyph(screen->cells[row][length - 1].ch) == ' ')
		length--;
	return (length);
}

char *
screen_to_text(const struct screen *screen, size_t *length)
{
	size_t room = (size_t)screen->rows * (screen->columns * UTF8_MAX + 1) + 1;
	char *text = malloc(room), *at = text;
	unsigned rows = screen->rows;

	if (text == NULL)
		return (NULL);
	while (rows > 0 && row_length(screen, rows - 1) == 0)
		rows--;
	for (unsigned row = 0; row < rows; row++) {
		unsigned columns = row_length(screen, row);

		for (unsigned i = 0; i < columns; i++)
			at += utf8_put(cp437_glyph(screen->cells[row][i].ch), at);
		*at++ = '\n';
	}
	*at = '\0';
	*length = (size_t)(at - text);
	return (text);
}
