/*
 * The full-screen console, by ncursesw. Output only: keys are read past curses, by terminal.h,
 * since curses would wait after an ESC and tells no modifiers.
 */
#include "console/curses.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "console/cp437.h"
#include "console/terminfo.h"

#define ATTR_BRIGHT 0x08u
#define ATTR_BLINK 0x80u
#define MESSAGE "The guest shows graphics, which this console cannot."

/* Curses' files and screen, to be closed at the end. */
static struct {
	FILE *in, *out;
	SCREEN *screen;
} tty;

/* Have characters beyond ASCII, if that can be. */
static bool
set_locale(void)
{
	const char *set = setlocale(LC_CTYPE, "");

	/* Nothing chosen says nothing about the terminal, and today's take UTF-8. */
	if (set == NULL || strcmp(set, "C") == 0 || strcmp(set, "POSIX") == 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	return (strcmp(nl_langinfo(CODESET), "UTF-8") == 0);
}

static FILE *
open_copy(int fd, const char *mode)
{
	int copy = dup(fd);
	FILE *file = copy >= 0 ? fdopen(copy, mode) : NULL;

	if (file == NULL && copy >= 0)
		close(copy);
	return (file);
}

static void
close_files(void)
{
	if (tty.in != NULL)
		fclose(tty.in);
	if (tty.out != NULL)
		fclose(tty.out);
	memset(&tty, 0, sizeof(tty));
}

static void
set_modes(void)
{
	raw();
	noecho();
	nonl();
	scrollok(stdscr, FALSE);
	leaveok(stdscr, FALSE);
	if (has_colors())
		start_color();
	erase();
}

int
console_curses_start(struct console_curses *curses, int in, int out, char *err, size_t errlen)
{
	char restore[TERMINAL_RESTORE_MAX];
	size_t length;

	memset(curses, 0, sizeof(*curses));
	if (terminfo_restore(out, restore, sizeof(restore), &length, err, errlen) != 0)
		return (-1);
	curses->utf8 = set_locale();
	tty.in = open_copy(in, "r");
	tty.out = open_copy(out, "w");
	/* First of all, for curses takes no signals that have a handler. */
	if (tty.in == NULL || tty.out == NULL || terminal_start(in, out, restore, length) != 0) {
		snprintf(err, errlen, "cannot set the terminal up: %s", strerror(errno));
		close_files();
		return (-1);
	}
	tty.screen = newterm(NULL, tty.out, tty.in);
	if (tty.screen == NULL) {
		terminal_stop();
		close_files();
		snprintf(err, errlen, "cannot set the terminal up: curses refuses it");
		return (-1);
	}
	set_modes();
	curses->lines = (unsigned)LINES;
	curses->columns = (unsigned)COLS;
	curses->cursor = -1;
	terminal_input_init(&curses->input, in);
	return (0);
}

void
console_curses_stop(struct console_curses *curses)
{
	(void)curses;
	if (tty.screen == NULL)
		return;
	endwin();
	delscreen(tty.screen);
	terminal_stop();
	close_files();
}

/* The PC's colours have red and blue the other way round. */
static short
colour_of(unsigned colour)
{
	return ((short)((colour & 0x0a) | (colour & 1) << 2 | (colour >> 2 & 1)));
}

/* The pair for two colours of 0..15, made when first used; 0 when the terminal has no more. */
static short
pair_of(struct console_curses *curses, unsigned foreground, unsigned background)
{
	unsigned index = background << 4 | foreground;

	if (curses->pairs[index] == 0 && (int)curses->npairs + 1 < COLOR_PAIRS &&
	    init_pair((short)(curses->npairs + 1), colour_of(foreground), colour_of(background)) ==
		OK)
		curses->pairs[index] = (uint16_t)++curses->npairs;
	return ((short)curses->pairs[index]);
}

/* What an attribute byte comes to: curses' attributes, and a pair. */
static attr_t
attributes_of(struct console_curses *curses, uint8_t attr, bool blink, short *pair)
{
	unsigned foreground = attr & 0x0fu, background = attr >> 4;
	attr_t attributes = A_NORMAL;

	if (blink && (attr & ATTR_BLINK) != 0) {
		attributes |= A_BLINK;
		background &= 7;
	}
	*pair = 0;
	if (!has_colors()) {
		if ((foreground & 7) < (background & 7))
			attributes |= A_REVERSE;
		return (attributes | ((foreground & ATTR_BRIGHT) != 0 ? A_BOLD : A_NORMAL));
	}
	if (COLORS < 16) {
		if ((foreground & ATTR_BRIGHT) != 0)
			attributes |= A_BOLD;
		foreground &= 7;
		background &= 7;
	}
	*pair = pair_of(curses, foreground, background);
	return (attributes);
}

/* An ASCII character that resembles a glyph. */
static char
ascii_of(uint32_t glyph)
{
	static const struct {
		uint16_t first, last;
		char ascii;
	} ranges[] = {
	    {0x2500, 0x2500, '-'},
	    {0x2550, 0x2550, '='},
	    {0x2502, 0x2502, '|'},
	    {0x2551, 0x2551, '|'},
	    {0x2503, 0x256c, '+'},
	    {0x2580, 0x2593, '#'},
	    {0x25a0, 0x25ac, '#'},
	    {0x2190, 0x2190, '<'},
	    {0x25c4, 0x25c4, '<'},
	    {0x2191, 0x2191, '^'},
	    {0x25b2, 0x25b2, '^'},
	    {0x2192, 0x2192, '>'},
	    {0x25ba, 0x25ba, '>'},
	    {0x2193, 0x2193, 'v'},
	    {0x25bc, 0x25bc, 'v'},
	    {0x2022, 0x2022, '*'},
	    {0x2219, 0x2219, '.'},
	    {0x00b7, 0x00b7, '.'},
	};

	if (glyph < 0x7f)
		return ((char)glyph);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (glyph >= ranges[i].first && glyph <= ranges[i].last)
			return (ranges[i].ascii);
	return ('?');
}

static void
draw_cell(struct console_curses *curses, const struct screen *screen, unsigned row, unsigned column)
{
	struct screen_cell cell = screen->cells[row][column];
	uint32_t glyph = cp437_glyph(cell.ch);
	wchar_t text[2] = {0};
	short pair;
	attr_t attributes = attributes_of(curses, cell.attr, screen->blink, &pair);
	cchar_t wide;

	text[0] = curses->utf8 ? (wchar_t)glyph : (wchar_t)ascii_of(glyph);
	setcchar(&wide, text, attributes, pair, NULL);
	mvadd_wchnstr((int)(row - curses->top), (int)(column - curses->left), &wide, 1);
}

/* Where the part shown begins, of SIZE cells with the cursor at AT: as before while that shows the
 * cursor, else at 0 if that does, else no further than it must. */
static unsigned
scroll_to(unsigned begin, unsigned shown, unsigned size, bool cursor_on, unsigned at)
{
	if (shown >= size)
		return (0);
	if (begin > size - shown)
		begin = size - shown;
	if (cursor_on && at < begin)
		begin = at < shown ? 0 : at;
	else if (cursor_on && at >= begin + shown)
		begin = at - shown + 1;
	return (begin);
}

/* Choose the part to show; if that is another than before, all is to be drawn anew. */
static void
choose_part(struct console_curses *curses, const struct screen *screen)
{
	const struct screen *shown = &curses->shown;
	unsigned top = scroll_to(
	    curses->top, curses->lines, screen->rows, screen->cursor_on, screen->cursor_row);
	unsigned left = scroll_to(curses->left, curses->columns, screen->columns, screen->cursor_on,
	    screen->cursor_column);

	if (top != curses->top || left != curses->left || screen->rows != shown->rows ||
	    screen->columns != shown->columns || screen->blink != shown->blink ||
	    screen->text != shown->text)
		curses->valid = false;
	curses->top = top;
	curses->left = left;
}

static void
draw_cells(struct console_curses *curses, const struct screen *screen)
{
	const struct screen_cell *new, *old;

	for (unsigned y = 0; y < curses->lines && y + curses->top < screen->rows; y++) {
		for (unsigned x = 0; x < curses->columns && x + curses->left < screen->columns;
		     x++) {
			new = &screen->cells[y + curses->top][x + curses->left];
			old = &curses->shown.cells[y + curses->top][x + curses->left];
			if (!curses->valid || new->ch != old->ch || new->attr != old->attr)
				draw_cell(curses, screen, y + curses->top, x + curses->left);
		}
	}
}

/* The cursor: off, on, or a block when it covers half of its cell. */
static void
draw_cursor(struct console_curses *curses, const struct screen *screen)
{
	int cursor = 0;

	if (screen->text && screen->cursor_on) {
		move((int)(screen->cursor_row - curses->top),
		    (int)(screen->cursor_column - curses->left));
		cursor = screen->cursor_first <= screen->cell_height / 2 ? 2 : 1;
	}
	if (cursor != curses->cursor)
		curs_set(cursor);
	curses->cursor = cursor;
}

static void
follow_size(struct console_curses *curses)
{
	struct winsize size;

	if (!terminal_resized() || ioctl(fileno(tty.out), TIOCGWINSZ, &size) != 0 ||
	    size.ws_row == 0 || size.ws_col == 0)
		return;
	resizeterm(size.ws_row, size.ws_col);
	/* Terminals differ in what they do to the contents. */
	clearok(stdscr, TRUE);
	curses->lines = (unsigned)LINES;
	curses->columns = (unsigned)COLS;
	curses->valid = false;
}

static bool
same_picture(const struct screen *a, const struct screen *b)
{
	size_t cells = a->rows * sizeof(a->cells[0]);

	return (a->text == b->text && a->rows == b->rows && a->columns == b->columns &&
	    a->blink == b->blink && a->cursor_on == b->cursor_on &&
	    a->cursor_row == b->cursor_row && a->cursor_column == b->cursor_column &&
	    a->cursor_first == b->cursor_first && a->cell_height == b->cell_height &&
	    memcmp(a->cells, b->cells, cells) == 0);
}

void
console_curses_draw(struct console_curses *curses, const struct screen *screen)
{
	if (tty.screen == NULL)
		return;
	follow_size(curses);
	if (curses->valid && same_picture(screen, &curses->shown))
		return;
	choose_part(curses, screen);
	if (!curses->valid)
		erase();
	if (screen->text)
		draw_cells(curses, screen);
	else if (!curses->valid)
		mvaddnstr(0, 0, MESSAGE, (int)curses->columns);
	draw_cursor(curses, screen);
	refresh();
	curses->shown = *screen;
	curses->valid = true;
}
