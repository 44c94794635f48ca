/*
 * The full-screen console: the guest's text screen on the terminal with its colours and cursor.
 * Curses itself is one for the process, so there can be one console of this kind at a time.
 */
#ifndef CONSOLE_CURSES_H
#define CONSOLE_CURSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/screen.h"
#include "console/terminal.h"

struct console_curses {
	struct terminal_input input;
	struct screen shown;	 /* what the terminal shows */
	bool valid;		 /* SHOWN is that; else all is drawn anew */
	bool utf8;		 /* the terminal takes it; else glyphs become ASCII */
	unsigned top, left;	 /* the part shown, if the terminal is smaller */
	unsigned lines, columns; /* of the terminal */
	int cursor;		 /* curs_set(): 0 = off, 1 = on, 2 = a block */
	unsigned npairs;
	uint16_t pairs[256]; /* foreground and background (4 bits each) to a pair; 0 = none yet */
};

/*
 * Begin on the terminal of IN and OUT. Returns 0, or -1 and one line in ERR (no terminal, TERM
 * missing or unknown).
 */
int console_curses_start(struct console_curses *curses, int in, int out, char *err, size_t errlen);
/* Show SCREEN; only what changed is drawn. The terminal's new size is taken into account. */
void console_curses_draw(struct console_curses *curses, const struct screen *screen);
/* Put the terminal back. */
void console_curses_stop(struct console_curses *curses);

#endif
