/*
 * A picture of the guest's text screen: taken from memory, searched for a text, as a text.
 *
 * Where the screen lies in memory is the display adapter's knowledge; who takes a picture fills in
 * struct screen_layout from it.
 */
#ifndef CONSOLE_SCREEN_H
#define CONSOLE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/memory.h"

#define SCREEN_COLUMNS_MAX 132
#define SCREEN_ROWS_MAX 60

#define SCREEN_GLYPH_LINES 32

/* What characters look like: their dots, and how these become the screen's. */
struct screen_face {
	unsigned dots;	    /* columns of a cell: 8, or 9, of which the last is blank... */
	bool line_graphics; /* ...or like the eighth for C0h to DFh */
	bool wide, tall;    /* each dot twice, each line twice */
	unsigned underline; /* line of the cell */
	/* By attribute bit 3, character, line; the leftmost dot is bit 7. */
	uint8_t glyphs[2][256][SCREEN_GLYPH_LINES];
};

struct screen_layout {
	bool text;	  /* false: a graphics mode, nothing else below is valid */
	bool blank;	  /* the screen is turned off */
	unsigned columns; /* at most SCREEN_COLUMNS_MAX are looked at */
	unsigned rows;	  /* at most SCREEN_ROWS_MAX are looked at */
	unsigned stride;  /* cells from one row to the next */
	uint32_t base;	  /* guest-physical address of the window */
	uint32_t size;	  /* of the window in bytes; addresses wrap in it */
	uint32_t start;	  /* first cell shown */
	bool cursor_on;
	unsigned cursor_column;
	unsigned cursor_row;
	unsigned cell_height; /* scan lines of a cell, and those that the cursor covers */
	unsigned cursor_first;
	unsigned cursor_last;
	bool blink;	      /* attribute bit 7 blinks, else it is a bright background */
	uint32_t colours[16]; /* 0xRRGGBB */
};

/* A graphics mode: asked for line by line, while the machine stands still. */
struct screen_graphics {
	unsigned width, height;					     /* 0: none */
	void (*line)(const void *opaque, unsigned y, uint32_t *rgb); /* WIDTH times 0xRRGGBB */
	const void *opaque;
};

struct screen_cell {
	uint8_t ch; /* code page 437 */
	uint8_t attr;
};

struct screen {
	bool text;
	struct screen_face face; /* screen_capture() leaves both to its caller */
	struct screen_graphics graphics;
	unsigned columns;
	unsigned rows;
	bool cursor_on;
	unsigned cursor_column;
	unsigned cursor_row;
	unsigned cell_height;
	unsigned cursor_first;
	unsigned cursor_last;
	bool blink;
	uint32_t colours[16];
	struct screen_cell cells[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
};

/* Take a picture. A screen that is turned off is one of blanks; a graphics mode has no cells. */
void screen_capture(
    struct screen *screen, const struct memory *mem, const struct screen_layout *layout);
/*
 * Whether a row of SCREEN shows TEXT (UTF-8). All of CP437's blanks are spaces, and any number of
 * them follow the last column.
 */
bool screen_find(const struct screen *screen, const char *text);
/*
 * The rows as UTF-8, each ended by a newline, without trailing blanks and without the empty rows
 * at the end. To be freed; NULL when there is no memory. *LENGTH is without the NUL at its end.
 */
char *screen_to_text(const struct screen *screen, size_t *length);

#endif
