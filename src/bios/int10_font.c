/*
 * INT 10h AH=11h: the character generator. Glyphs go into plane 2 of video memory through the
 * window at A0000, as any program would put them there. IBM VGA Technical Reference; what each
 * function takes is in IBM's PS/2 BIOS reference.
 */
#include "bios/video.h"

#define WINDOW 0xa0000u
#define GLYPHS 256
#define GLYPH_SIZE 32 /* in plane 2, whatever its height */

/* Glyphs in the guest's memory. */
struct font {
	uint64_t at; /* linear address */
	uint16_t first, count;
	uint8_t height; /* bytes a glyph */
};

/* A font of the ROM. */
struct rom_font {
	uint8_t height;
	uint16_t offset;
	uint16_t wide; /* others for cells of nine columns; 0: none */
};

static const struct rom_font rom_fonts[] = {
    {8, ROM_FONT_8X8, 0},
    {14, ROM_FONT_8X14, ROM_FONT_9X14},
    {16, ROM_FONT_8X16, ROM_FONT_9X16},
};

static const struct rom_font *
rom_font(unsigned height)
{
	unsigned i = 0;

	while (i + 1 < sizeof(rom_fonts) / sizeof(rom_fonts[0]) && rom_fonts[i].height != height)
		i++;
	return (&rom_fonts[i]);
}

/* --- plane 2 ---------------------------------------------------------------------------------------- */

/* Let the CPU write plane 2 at WINDOW, byte by byte (VGA Technical Reference, "RAM loadable ..."). */
static void
open_plane(struct bios *b)
{
	video_write_indexed(b, 0x3c4, 0, 0x01);
	video_write_indexed(b, 0x3c4, 2, 0x04);
	video_write_indexed(b, 0x3c4, 4, 0x07);
	video_write_indexed(b, 0x3c4, 0, 0x03);
	video_write_indexed(b, 0x3ce, 1, 0x00);
	video_write_indexed(b, 0x3ce, 3, 0x00);
	video_write_indexed(b, 0x3ce, 4, 0x02);
	video_write_indexed(b, 0x3ce, 5, 0x00);
	video_write_indexed(b, 0x3ce, 6, 0x04);
	video_write_indexed(b, 0x3ce, 8, 0xff);
}

static void
close_plane(struct bios *b)
{
	video_write_indexed(b, 0x3c4, 0, 0x01);
	video_write_indexed(b, 0x3c4, 2, 0x03);
	video_write_indexed(b, 0x3c4, 4, 0x03);
	video_write_indexed(b, 0x3c4, 0, 0x03);
	video_write_indexed(b, 0x3ce, 4, 0x00);
	video_write_indexed(b, 0x3ce, 5, 0x10);
	video_write_indexed(b, 0x3ce, 6, bda16(b, BDA_CRTC) == 0x3b4 ? 0x0a : 0x0e);
}

/* Where block BLOCK begins in plane 2 (sequencer register 3, "character map select"). */
static uint16_t
block_offset(uint8_t block)
{
	return ((uint16_t)((block & 3) << 14 | (block & 4) << 11));
}

static void
put_glyph(struct bios *b, uint16_t offset, uint64_t from, unsigned height)
{
	struct mem_page page = memory_page(b->mem, WINDOW);

	if (page.type != MEM_MMIO)
		return;
	for (unsigned i = 0; i < height; i++)
		page.region->ops->write(page.region->opaque, WINDOW - page.region->gpa + offset + i,
		    1, memory_get8(b->mem, from + i));
}

static void
load_glyphs(struct bios *b, uint8_t block, const struct font *f)
{
	uint16_t base = block_offset(block);
	unsigned height = f->height <= GLYPH_SIZE ? f->height : GLYPH_SIZE;

	open_plane(b);
	for (unsigned i = 0; i < f->count && f->first + i < GLYPHS; i++)
		put_glyph(b, (uint16_t)(base + (f->first + i) * GLYPH_SIZE),
		    f->at + (uint64_t)i * f->height, height);
	close_plane(b);
}

/* Those that look better with nine columns, in place of the others. */
static void
load_wide(struct bios *b, uint8_t block, const struct rom_font *f)
{
	uint64_t at = ROM_BASE + f->wide;
	uint16_t base = block_offset(block);
	uint8_t code;

	open_plane(b);
	for (unsigned i = 0; i < GLYPHS && (code = memory_get8(b->mem, at)) != 0; i++) {
		put_glyph(b, (uint16_t)(base + code * GLYPH_SIZE), at + 1, f->height);
		at += 1u + f->height;
	}
	close_plane(b);
}

static void
load_rom(struct bios *b, uint8_t block, unsigned height)
{
	const struct rom_font *f = rom_font(height);

	load_glyphs(b, block,
	    &(struct font){.at = ROM_BASE + f->offset, .count = GLYPHS, .height = f->height});
	if (f->wide != 0 && (video_read_indexed(b, 0x3c4, 1) & 1) == 0)
		load_wide(b, block, f);
}

void
video_load_rom_font(struct bios *b, uint8_t block, unsigned height)
{
	set_vector(b, 0x1f, ROM_SEGMENT, ROM_FONT_8X8 + 128 * 8);
	set_vector(b, 0x43, ROM_SEGMENT, rom_font(height)->offset);
	load_rom(b, block, height);
}

/* --- functions ---------------------------------------------------------------------------------------- */

/* As many rows of HEIGHT lines as the screen has room for; the cursor below the letters. */
static void
set_height(struct bios *b, unsigned height)
{
	uint16_t port = bda16(b, BDA_CRTC);
	unsigned overflow = video_read_indexed(b, port, 0x07);
	unsigned scan = video_read_indexed(b, port, 0x09), twice = scan & 0x80 ? 2 : 1;
	unsigned lines =
	    (video_read_indexed(b, port, 0x12) | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) +
	    1;
	unsigned rows, cursor, end;

	if (height == 0 || height > GLYPH_SIZE || lines / twice < height)
		return;
	rows = lines / twice / height;
	cursor = height > 8 ? height - 3 : height - 2;
	end = rows * height * twice - 1;
	video_write_indexed(b, port, 0x09, (scan & 0xe0) | (height - 1));
	video_write_indexed(b, port, 0x0a, cursor);
	video_write_indexed(b, port, 0x0b, cursor + 1);
	video_write_indexed(b, port, 0x12, end);
	video_write_indexed(
	    b, port, 0x07, (overflow & ~0x42u) | (end >> 7 & 0x02) | (end >> 3 & 0x40));
	set_bda8(b, BDA_ROWS, rows - 1);
	set_bda16(b, BDA_CHAR_HEIGHT, height);
	set_bda16(b, BDA_PAGE_SIZE, (rows * bda16(b, BDA_COLUMNS) * 2 + 2047) / 2048 * 2048);
}

/* The font of AL=00h and 10h: CX glyphs of BH lines from ES:BP on, from character DX on. */
static struct font
callers_font(const struct bios_call *c)
{
	return ((struct font){
	    .at = linear(c, SEG_ES, bp(c)), .first = dx(c), .count = cx(c), .height = bh(c)});
}

enum bios_result
int10_1100_load_font(struct bios_call *c)
{
	struct font font = callers_font(c);

	load_glyphs(c->bios, bl(c), &font);
	return (BIOS_DONE);
}

enum bios_result
int10_1110_set_font(struct bios_call *c)
{
	struct font font = callers_font(c);

	load_glyphs(c->bios, bl(c), &font);
	set_height(c->bios, font.height);
	return (BIOS_DONE);
}

enum bios_result
int10_1101_load_8x14(struct bios_call *c)
{
	load_rom(c->bios, bl(c), 14);
	return (BIOS_DONE);
}

enum bios_result
int10_1102_load_8x8(struct bios_call *c)
{
	load_rom(c->bios, bl(c), 8);
	return (BIOS_DONE);
}

enum bios_result
int10_1104_load_8x16(struct bios_call *c)
{
	load_rom(c->bios, bl(c), 16);
	return (BIOS_DONE);
}

static enum bios_result
set_rom_font(struct bios_call *c, unsigned height)
{
	load_rom(c->bios, bl(c), height);
	set_height(c->bios, height);
	return (BIOS_DONE);
}

enum bios_result
int10_1111_set_8x14(struct bios_call *c)
{
	return (set_rom_font(c, 14));
}

enum bios_result
int10_1112_set_8x8(struct bios_call *c)
{
	return (set_rom_font(c, 8));
}

enum bios_result
int10_1114_set_8x16(struct bios_call *c)
{
	return (set_rom_font(c, 16));
}

enum bios_result
int10_1103_select_fonts(struct bios_call *c)
{
	video_write_indexed(c->bios, 0x3c4, 3, bl(c));
	return (BIOS_DONE);
}

/* Characters 80h to FFh of CGA's graphics modes. */
enum bios_result
int10_1120_font_vector(struct bios_call *c)
{
	set_vector(c->bios, 0x1f, c->s->sregs.seg[SEG_ES].selector, bp(c));
	return (BIOS_DONE);
}

/* The font of graphics modes, and by BL how many rows they have: DL for 0. */
static enum bios_result
graphics_font(struct bios_call *c, uint16_t segment, uint16_t offset, unsigned height)
{
	static const uint8_t rows[4] = {0, 14, 25, 43};
	unsigned count = bl(c) == 0 ? dl(c) : rows[bl(c) & 3];

	set_vector(c->bios, 0x43, segment, offset);
	set_bda16(c->bios, BDA_CHAR_HEIGHT, height);
	set_bda8(c->bios, BDA_ROWS, count - 1);
	return (BIOS_DONE);
}

enum bios_result
int10_1121_graphics_font(struct bios_call *c)
{
	return (graphics_font(c, c->s->sregs.seg[SEG_ES].selector, bp(c), cx(c)));
}

enum bios_result
int10_1122_graphics_8x14(struct bios_call *c)
{
	return (graphics_font(c, ROM_SEGMENT, ROM_FONT_8X14, 14));
}

enum bios_result
int10_1123_graphics_8x8(struct bios_call *c)
{
	return (graphics_font(c, ROM_SEGMENT, ROM_FONT_8X8, 8));
}

enum bios_result
int10_1124_graphics_8x16(struct bios_call *c)
{
	return (graphics_font(c, ROM_SEGMENT, ROM_FONT_8X16, 16));
}

/* Where the font BH is: those behind vectors 1Fh and 43h, and those of the ROM. */
static uint32_t
font_pointer(const struct bios *b, uint8_t font)
{
	static const uint16_t offsets[] = {ROM_FONT_8X14, ROM_FONT_8X8, ROM_FONT_8X8 + 128 * 8,
	    ROM_FONT_9X14, ROM_FONT_8X16, ROM_FONT_9X16};

	if (font < 2)
		return (memory_get32(b->mem, font == 0 ? 0x1f * 4 : 0x43 * 4));
	return ((uint32_t)ROM_SEGMENT << 16 | offsets[font - 2]);
}

/* CX and DL tell of the font that is on the screen, whatever BH asks for. */
enum bios_result
int10_1130_font_information(struct bios_call *c)
{
	uint32_t font;

	if (bh(c) > 7)
		return (BIOS_DONE);
	font = font_pointer(c->bios, bh(c));
	set_cx(c, bda16(c->bios, BDA_CHAR_HEIGHT));
	set_dl(c, bda8(c->bios, BDA_ROWS));
	set_bp(c, font);
	c->s->sregs.seg[SEG_ES].selector = (uint16_t)(font >> 16);
	c->s->sregs.seg[SEG_ES].base = (uint64_t)(font >> 16) << 4;
	c->dirty |= VCPU_SREGS;
	return (BIOS_DONE);
}
