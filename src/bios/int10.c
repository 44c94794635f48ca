/*
 * INT 10h: video, text modes. IBM VGA Technical Reference; characters go straight into video
 * memory, cursor and page through the CRTC so that its registers tell the truth.
 */
#include <string.h>

#include "bios/video.h"

#define BLANK 0x0720u

/* What a text mode is. */
struct text_mode {
	uint8_t mode, columns, rows, height;
	uint16_t page_size, window, crtc_port;
};

static const struct text_mode text_modes[] = {
    {0, 40, 25, 16, 0x0800, 0xb800, 0x3d4},
    {1, 40, 25, 16, 0x0800, 0xb800, 0x3d4},
    {2, 80, 25, 16, 0x1000, 0xb800, 0x3d4},
    {3, 80, 25, 16, 0x1000, 0xb800, 0x3d4},
    {7, 80, 25, 16, 0x1000, 0xb000, 0x3b4},
};

/* Register values of the text modes (VGA Technical Reference, "Mode tables"). */
struct mode_registers {
	uint8_t misc, sequencer1;
	uint8_t crtc[25];
};

static const struct mode_registers registers_40 = {0x67, 0x08,
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
	0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff}};
static const struct mode_registers registers_80 = {0x67, 0x00,
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
	0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff}};
static const struct mode_registers registers_mono = {0x66, 0x00,
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
	0x8f, 0x28, 0x0f, 0x96, 0xb9, 0xa3, 0xff}};

static const struct text_mode *
find_mode(uint8_t mode)
{
	for (unsigned i = 0; i < sizeof(text_modes) / sizeof(text_modes[0]); i++)
		if (text_modes[i].mode == mode)
			return (&text_modes[i]);
	return (NULL);
}

/* The 64 colours: EGA's, two bits each of red, green and blue; or black, grey and white. */
static void
load_dac(struct bios *b, bool mono)
{
	static const uint8_t greys[4] = {0x00, 0x2a, 0x00, 0x3f};

	outb(b, 0x3c6, 0xff);
	outb(b, 0x3c8, 0);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned part = 0; part < 3; part++)
			outb(b, 0x3c9,
			    mono ? greys[i >> 3 & 3]
				 : (i >> (2 - part) & 1) * 0x2a + (i >> (5 - part) & 1) * 0x15);
}

/* The attribute controller: 16 colours, mode, border, planes, panning, and the screen is on. */
static void
load_attributes(struct bios *b, uint16_t crtc_port, bool mono)
{
	static const uint8_t colours[21] = {0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c,
	    0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
	static const uint8_t greys[21] = {0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18,
	    0x18, 0x18, 0x18, 0x0e, 0x00, 0x0f, 0x08, 0x00};

	inb(b, (uint16_t)(crtc_port + 6)); /* flip-flop to index */
	for (unsigned i = 0; i < sizeof(colours); i++) {
		outb(b, 0x3c0, i);
		outb(b, 0x3c0, mono ? greys[i] : colours[i]);
	}
	outb(b, 0x3c0, 0x20);
}

static void
set_registers(struct bios *b, const struct text_mode *m, const struct mode_registers *r)
{
	static const uint8_t graphics[9] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff};
	bool mono = m->window == 0xb000;

	outb(b, 0x3c2, r->misc);
	video_write_indexed(b, 0x3c4, 1, r->sequencer1);
	video_write_indexed(b, 0x3c4, 2, 0x03);
	video_write_indexed(b, 0x3c4, 3, 0x00);
	video_write_indexed(b, 0x3c4, 4, 0x02);
	video_write_indexed(b, m->crtc_port, 0x11, 0x0e); /* unprotect 0-7 */
	for (unsigned i = 0; i < sizeof(r->crtc); i++)
		video_write_indexed(b, m->crtc_port, (uint8_t)i, r->crtc[i]);
	for (unsigned i = 0; i < sizeof(graphics); i++)
		video_write_indexed(b, 0x3ce, (uint8_t)i, i == 6 && mono ? 0x0a : graphics[i]);
	load_attributes(b, m->crtc_port, mono);
	load_dac(b, mono);
}

/* --- where things are ------------------------------------------------------------------------------ */

static uint64_t
window(const struct bios *b)
{
	return (bda16(b, BDA_CRTC) == 0x3b4 ? 0xb0000 : 0xb8000);
}

static unsigned
columns(const struct bios *b)
{
	uint16_t n = bda16(b, BDA_COLUMNS);

	return (n != 0 ? n : 80);
}

static unsigned
rows(const struct bios *b)
{
	return (bda8(b, BDA_ROWS) + 1u);
}

static uint64_t
cell_address(const struct bios *b, uint8_t page, unsigned row, unsigned column)
{
	uint64_t offset =
	    (uint64_t)(page & 7) * bda16(b, BDA_PAGE_SIZE) + (row * columns(b) + column) * 2;

	return (window(b) + (offset & 0x7fff));
}

static void
write_crtc16(struct bios *b, uint8_t index, unsigned value)
{
	uint16_t port = bda16(b, BDA_CRTC);

	video_write_indexed(b, port, index, value >> 8);
	video_write_indexed(b, port, (uint8_t)(index + 1), value);
}

/* Keep the cursor's position of PAGE, and show it if that page is shown. */
static void
set_cursor(struct bios *b, uint8_t page, uint8_t row, uint8_t column)
{
	set_bda16(b, BDA_CURSOR + (page & 7u) * 2, (unsigned)row << 8 | column);
	if ((page & 7) == bda8(b, BDA_PAGE))
		write_crtc16(b, 0x0e, bda16(b, BDA_PAGE_START) / 2u + row * columns(b) + column);
}

/* Fill the cells of [column1, column2] on ROW. */
static void
clear_row(struct bios *b, uint8_t page, unsigned row, unsigned column1, unsigned column2,
    uint8_t attribute)
{
	for (unsigned column = column1; column <= column2; column++)
		memory_put16(
		    b->mem, cell_address(b, page, row, column), (uint16_t)(attribute << 8 | ' '));
}

static void
copy_row(
    struct bios *b, uint8_t page, unsigned to, unsigned from, unsigned column1, unsigned column2)
{
	uint8_t line[256 * 2];
	size_t len = (column2 - column1 + 1) * 2;

	if (memory_read(b->mem, cell_address(b, page, from, column1), line, len))
		memory_write(b->mem, cell_address(b, page, to, column1), line, len);
}

/* A rectangle to scroll: corners included. */
struct area {
	unsigned top, left, bottom, right;
};

static void
scroll(
    struct bios *b, uint8_t page, const struct area *a, unsigned lines, uint8_t attribute, bool up)
{
	unsigned height = a->bottom - a->top + 1;

	if (lines == 0 || lines > height)
		lines = height;
	for (unsigned i = 0; i < height; i++) {
		unsigned row = up ? a->top + i : a->bottom - i;

		if (i + lines < height)
			copy_row(b, page, row, up ? row + lines : row - lines, a->left, a->right);
		else
			clear_row(b, page, row, a->left, a->right, attribute);
	}
}

/* --- modes -------------------------------------------------------------------------------------------- */

static void
set_mode_data(struct bios *b, const struct text_mode *m)
{
	static const uint16_t no_cursors[8];

	set_bda8(b, BDA_VIDEO_MODE, m->mode);
	set_bda16(b, BDA_COLUMNS, m->columns);
	set_bda16(b, BDA_PAGE_SIZE, m->page_size);
	set_bda16(b, BDA_PAGE_START, 0);
	memory_write(b->mem, BDA + BDA_CURSOR, no_cursors, sizeof(no_cursors));
	set_bda16(b, BDA_CURSOR_SHAPE, 0x0607);
	set_bda8(b, BDA_PAGE, 0);
	set_bda16(b, BDA_CRTC, m->crtc_port);
	set_bda8(b, BDA_CRT_MODE, 0x29);
	set_bda8(b, BDA_ROWS, m->rows - 1u);
	set_bda16(b, BDA_CHAR_HEIGHT, m->height);
	set_bda8(b, BDA_VIDEO_CONTROL, 0x60);
	set_bda8(b, BDA_VIDEO_SWITCHES, 0xf9);
	set_bda8(b, BDA_VIDEO_MODESET, 0x51);
	set_bda8(b, BDA_VIDEO_DCC, 0x08);
}

void
video_set_mode(struct bios *b, uint8_t mode)
{
	const struct text_mode *m = find_mode(mode & 0x7f);

	if (m == NULL)
		return;
	set_registers(b, m,
	    m->columns == 40	      ? &registers_40
		: m->window == 0xb000 ? &registers_mono
				      : &registers_80);
	set_mode_data(b, m);
	video_load_rom_font(b, 0, m->height);
	if (!(mode & 0x80))
		for (unsigned i = 0; i < 0x8000; i += 2)
			memory_put16(b->mem, m->window * 16u + i, BLANK);
	set_bda8(b, BDA_VIDEO_CONTROL, 0x60u | (mode & 0x80));
}

/* AL after the call: what old BIOSes leave there (RBIL, INT 10h/00h). */
static enum bios_result
int10_00_set_mode(struct bios_call *c)
{
	uint8_t mode = al(c);

	if (find_mode(mode & 0x7f) == NULL)
		return (BIOS_DONE);
	video_set_mode(c->bios, mode);
	set_al(c, (mode & 0x7f) == 6 ? 0x3f : (mode & 0x7f) < 8 ? 0x30 : 0x20);
	return (BIOS_DONE);
}

static enum bios_result
int10_01_cursor_shape(struct bios_call *c)
{
	uint8_t start = ch(c), end = cl(c);

	set_bda16(c->bios, BDA_CURSOR_SHAPE, cx(c));
	/* Shapes for 8-line characters are stretched to the real height (VGA BIOS emulation). */
	if (!(start & 0x20) && end < 8 && (start & 0x1f) < 8 && end >= 1) {
		uint8_t height = bda8(c->bios, BDA_CHAR_HEIGHT);

		if (height > 8) {
			start = (uint8_t)((end != (start & 0x1f) + 1
				? ((start & 0x1f) + 1) * height / 8 - 1
				: (end + 1) * height / 8 - 2));
			end = (uint8_t)((end + 1) * height / 8 - 1);
		}
	}
	write_crtc16(c->bios, 0x0a, (unsigned)start << 8 | end);
	return (BIOS_DONE);
}

static enum bios_result
int10_02_set_cursor(struct bios_call *c)
{
	set_cursor(c->bios, bh(c), dh(c), dl(c));
	return (BIOS_DONE);
}

static enum bios_result
int10_03_get_cursor(struct bios_call *c)
{
	set_ax(c, 0);
	set_dx(c, bda16(c->bios, BDA_CURSOR + (bh(c) & 7u) * 2));
	set_cx(c, bda16(c->bios, BDA_CURSOR_SHAPE));
	return (BIOS_DONE);
}

static enum bios_result
int10_05_select_page(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint8_t page = al(c) & 7;
	uint16_t cursor = bda16(b, BDA_CURSOR + page * 2u);

	set_bda8(b, BDA_PAGE, page);
	set_bda16(b, BDA_PAGE_START, (unsigned)page * bda16(b, BDA_PAGE_SIZE));
	write_crtc16(b, 0x0c, bda16(b, BDA_PAGE_START) / 2u);
	set_cursor(b, page, (uint8_t)(cursor >> 8), (uint8_t)cursor);
	return (BIOS_DONE);
}

static enum bios_result
scroll_call(struct bios_call *c, bool up)
{
	struct bios *b = c->bios;
	struct area a = {ch(c), cl(c), dh(c), dl(c)};

	if (a.bottom >= rows(b))
		a.bottom = rows(b) - 1;
	if (a.right >= columns(b))
		a.right = columns(b) - 1;
	if (a.top <= a.bottom && a.left <= a.right)
		scroll(b, bda8(b, BDA_PAGE), &a, al(c), bh(c), up);
	return (BIOS_DONE);
}

static enum bios_result
int10_06_scroll_up(struct bios_call *c)
{
	return (scroll_call(c, true));
}

static enum bios_result
int10_07_scroll_down(struct bios_call *c)
{
	return (scroll_call(c, false));
}

/* --- characters ------------------------------------------------------------------------------------------ */

static uint64_t
cursor_cell(struct bios *b, uint8_t page)
{
	uint16_t at = bda16(b, BDA_CURSOR + (page & 7u) * 2);

	return (cell_address(b, page, at >> 8, at & 0xff));
}

static enum bios_result
int10_08_read_character(struct bios_call *c)
{
	set_ax(c, memory_get16(c->bios->mem, cursor_cell(c->bios, bh(c))));
	return (BIOS_DONE);
}

/* CX times AL from the cursor on, which stays; ATTRIBUTE below 0 leaves those that are there. */
static enum bios_result
write_characters(struct bios_call *c, int attribute)
{
	struct bios *b = c->bios;
	uint64_t at = cursor_cell(b, bh(c)), base = window(b);
	unsigned count = cx(c) < 0x4000 ? cx(c) : 0x4000;

	for (unsigned i = 0; i < count; i++) {
		uint64_t cell = base + ((at - base + i * 2) & 0x7fff);

		memory_put8(b->mem, cell, al(c));
		if (attribute >= 0)
			memory_put8(b->mem, cell + 1, (uint8_t)attribute);
	}
	return (BIOS_DONE);
}

static enum bios_result
int10_09_write_character_attribute(struct bios_call *c)
{
	return (write_characters(c, bl(c)));
}

static enum bios_result
int10_0a_write_character(struct bios_call *c)
{
	return (write_characters(c, -1));
}

/* One line on from the bottom: scroll the page with the attribute under the cursor. */
static void
line_feed(struct bios *b, uint8_t page, unsigned *row, unsigned column)
{
	uint8_t attribute;

	if (*row + 1 < rows(b)) {
		++*row;
		return;
	}
	attribute = memory_get8(b->mem, cell_address(b, page, *row, column) + 1);
	scroll(b, page, &(struct area){.bottom = rows(b) - 1, .right = columns(b) - 1}, 1,
	    attribute, true);
}

void
video_teletype(struct bios *b, uint8_t page, uint8_t ch, int attribute)
{
	uint16_t cursor = bda16(b, BDA_CURSOR + (page & 7u) * 2);
	unsigned row = cursor >> 8, column = cursor & 0xff;
	uint64_t cell;

	if (b->observer.putc != NULL)
		b->observer.putc(b->observer.opaque, ch);
	switch (ch) {
	case '\a':
		break;
	case '\b':
		column -= column > 0;
		break;
	case '\n':
		line_feed(b, page, &row, column);
		break;
	case '\r':
		column = 0;
		break;
	default:
		cell = cell_address(b, page, row, column);
		memory_put8(b->mem, cell, ch);
		if (attribute >= 0)
			memory_put8(b->mem, cell + 1, (uint8_t)attribute);
		if (++column >= columns(b)) {
			column = 0;
			line_feed(b, page, &row, 0);
		}
		break;
	}
	set_cursor(b, page, (uint8_t)row, (uint8_t)column);
}

static enum bios_result
int10_0e_teletype(struct bios_call *c)
{
	video_teletype(c->bios, bda8(c->bios, BDA_PAGE), al(c), -1);
	return (BIOS_DONE);
}

static enum bios_result
int10_0f_get_mode(struct bios_call *c)
{
	struct bios *b = c->bios;

	set_al(c, bda8(b, BDA_VIDEO_MODE) | (bda8(b, BDA_VIDEO_CONTROL) & 0x80u));
	set_ah(c, columns(b));
	set_bh(c, bda8(b, BDA_PAGE));
	return (BIOS_DONE);
}

/* AL bit 0: move the cursor; bit 1: character and attribute pairs. */
static enum bios_result
int10_13_write_string(struct bios_call *c)
{
	struct bios *b = c->bios;
	uint8_t page = bh(c) & 7;
	uint16_t before = bda16(b, BDA_CURSOR + page * 2u);
	uint64_t at = linear(c, SEG_ES, bp(c));

	set_cursor(b, page, dh(c), dl(c));
	for (unsigned n = cx(c); n > 0; n--) {
		uint8_t ch = memory_get8(b->mem, at++);
		uint8_t attribute = al(c) & 2 ? memory_get8(b->mem, at++) : bl(c);

		video_teletype(b, page, ch, attribute);
	}
	if (!(al(c) & 1))
		set_cursor(b, page, (uint8_t)(before >> 8), (uint8_t)before);
	return (BIOS_DONE);
}

/* --- information ------------------------------------------------------------------------------------------- */

/* BL 10h: colour, 256 KB, switches 9. Others select scan lines, cursor emulation ...: not yet. */
static enum bios_result
int10_12_alternate_select(struct bios_call *c)
{
	if (bl(c) != 0x10)
		return (int10_unsupported(c));
	set_bx(c, 0x0003);
	set_cx(c, 0x0009);
	return (BIOS_DONE);
}

static enum bios_result
int10_1a00_get_display(struct bios_call *c)
{
	set_al(c, 0x1a);
	set_bx(c, 0x0008); /* VGA with colour display */
	return (BIOS_DONE);
}

static enum bios_result
int10_1a01_set_display(struct bios_call *c)
{
	set_al(c, 0x1a);
	return (BIOS_DONE);
}

enum bios_result
int10_unsupported(struct bios_call *c)
{
	/* INT 10h has no error flag; VBE's answer is AH not 0 (VBE 3.0, 4.2), AL not 4Fh. */
	if (ah(c) == 0x4f)
		set_ax(c, 0x0100);
	return (BIOS_DONE);
}

const struct bios_service int10_services[] = {
    {0x00, false, "set_mode", int10_00_set_mode},
    {0x01, false, "cursor_shape", int10_01_cursor_shape},
    {0x02, false, "set_cursor", int10_02_set_cursor},
    {0x03, false, "get_cursor", int10_03_get_cursor},
    {0x04, false, "light_pen", NULL},
    {0x05, false, "select_page", int10_05_select_page},
    {0x06, false, "scroll_up", int10_06_scroll_up},
    {0x07, false, "scroll_down", int10_07_scroll_down},
    {0x08, false, "read_character", int10_08_read_character},
    {0x09, false, "write_character_attribute", int10_09_write_character_attribute},
    {0x0a, false, "write_character", int10_0a_write_character},
    {0x0b, false, "border_palette", NULL},
    {0x0c, false, "write_pixel", NULL},
    {0x0d, false, "read_pixel", NULL},
    {0x0e, false, "teletype", int10_0e_teletype},
    {0x0f, false, "get_mode", int10_0f_get_mode},
    {0x10, false, "palette", NULL},
    {0x1100, true, "load_font", int10_1100_load_font},
    {0x1101, true, "load_8x14", int10_1101_load_8x14},
    {0x1102, true, "load_8x8", int10_1102_load_8x8},
    {0x1103, true, "select_fonts", int10_1103_select_fonts},
    {0x1104, true, "load_8x16", int10_1104_load_8x16},
    {0x1110, true, "set_font", int10_1110_set_font},
    {0x1111, true, "set_8x14", int10_1111_set_8x14},
    {0x1112, true, "set_8x8", int10_1112_set_8x8},
    {0x1114, true, "set_8x16", int10_1114_set_8x16},
    {0x1120, true, "font_vector", int10_1120_font_vector},
    {0x1121, true, "graphics_font", int10_1121_graphics_font},
    {0x1122, true, "graphics_8x14", int10_1122_graphics_8x14},
    {0x1123, true, "graphics_8x8", int10_1123_graphics_8x8},
    {0x1124, true, "graphics_8x16", int10_1124_graphics_8x16},
    {0x1130, true, "font_information", int10_1130_font_information},
    {0x11, false, "fonts", NULL},
    {0x12, false, "alternate_select", int10_12_alternate_select},
    {0x13, false, "write_string", int10_13_write_string},
    {0x1a00, true, "get_display", int10_1a00_get_display},
    {0x1a01, true, "set_display", int10_1a01_set_display},
    {0x1b, false, "state_information", NULL},
    {0x1c, false, "save_restore", NULL},
    {0x4f, false, "vbe", NULL},
    {0},
};
