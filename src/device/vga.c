/* The VGA's registers. Register names and bits: IBM's Technical Reference. */
#include "device/vga.h"

#include <string.h>

/* Registers by port. */
enum {
	CRTC_INDEX_MONO = 0x04, /* 3B4 */
	CRTC_DATA_MONO = 0x05,
	STATUS1_MONO = 0x0a,
	ATTR_INDEX = 0x10, /* 3C0 */
	ATTR_DATA = 0x11,
	STATUS0_MISC = 0x12,
	ENABLE = 0x13,
	SEQ_INDEX = 0x14,
	SEQ_DATA = 0x15,
	PEL_MASK = 0x16,
	DAC_READ_INDEX = 0x17,
	DAC_WRITE_INDEX = 0x18,
	DAC_DATA = 0x19,
	FEATURE_READ = 0x1a,
	MISC_READ = 0x1c,
	GFX_INDEX = 0x1e,
	GFX_DATA = 0x1f,
	CRTC_INDEX_COLOUR = 0x24, /* 3D4 */
	CRTC_DATA_COLOUR = 0x25,
	STATUS1_COLOUR = 0x2a,
};

#define MISC_COLOUR 0x01u /* CRTC at 3Dx instead of 3Bx */
#define MISC_CLOCK 0x0cu
#define ATTR_PAS 0x20u /* palette address source: the screen shows */
#define STATUS1_DISABLED 0x01u
#define STATUS1_VRETRACE 0x08u
#define SEQ1_DOTS8 0x01u
#define SEQ1_HALF_CLOCK 0x08u
#define SEQ1_OFF 0x20u
#define ATTR_LINE_GRAPHICS 0x04u
#define CRTC11_PROTECT 0x80u

enum { CRTC_HTOTAL, CRTC_HDISPLAY };
enum {
	CRTC_VTOTAL = 0x06,
	CRTC_OVERFLOW,
	CRTC_MAX_SCAN = 0x09,
	CRTC_CURSOR_START,
	CRTC_CURSOR_END,
	CRTC_START_HIGH,
	CRTC_START_LOW,
	CRTC_CURSOR_HIGH,
	CRTC_CURSOR_LOW,
	CRTC_VRETRACE,
	CRTC_VRETRACE_END,
	CRTC_VDISPLAY,
	CRTC_OFFSET,
	CRTC_UNDERLINE,
};

/* Bits that exist. */
static const uint8_t seq_bits[VGA_SEQ_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_bits[VGA_GFX_COUNT] = {
    0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

const struct vga_mode vga_mode3 = {
    .misc = 0x67,
    .seq = {0x03, 0x00, 0x03, 0x00, 0x02},
    .crtc = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00,
	0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    .gfx = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff},
    .attr = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
	0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00},
};

static uint8_t
attr_bits(unsigned index)
{
	static const uint8_t upper[5] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};

	return (index < 16 ? 0x3f : upper[index - 16]);
}

/* A vertical value: eight bits of its own, two from the overflow register. */
static unsigned
vertical(const struct vga *chip, unsigned reg, unsigned bit8, unsigned bit9)
{
	unsigned overflow = chip->s.crtc[CRTC_OVERFLOW];

	return (chip->s.crtc[reg] | (overflow >> bit8 & 1) << 8 | (overflow >> bit9 & 1) << 9);
}

/* Input status 1: where the beam is. */
static uint8_t
status1(const struct vga *chip)
{
	static const uint32_t clocks[4] = {25175000, 28322000, 25175000, 25175000};
	const uint8_t *crtc = chip->s.crtc;
	uint64_t dots = (chip->s.seq[1] & SEQ1_DOTS8) != 0 ? 8 : 9;
	uint64_t htotal = crtc[CRTC_HTOTAL] + 5u, vtotal = vertical(chip, CRTC_VTOTAL, 0, 5) + 2u;
	uint64_t clock = clocks[(chip->s.misc & MISC_CLOCK) >> 2];
	/* Time in characters, then in lines. */
	uint64_t at = mul_div(clock_now(chip->clock), clock, NS_PER_SEC * dots);
	uint64_t line = at / htotal % vtotal, retrace = vertical(chip, CRTC_VRETRACE, 2, 7);
	uint8_t status = 0;

	if (at % htotal > crtc[CRTC_HDISPLAY] || line > vertical(chip, CRTC_VDISPLAY, 1, 6))
		status |= STATUS1_DISABLED;
	/* The retrace's end is told by its lowest four bits. */
	if (line >= retrace && line < retrace + ((crtc[CRTC_VRETRACE_END] - retrace - 1) & 15) + 1)
		status |= STATUS1_VRETRACE | STATUS1_DISABLED;
	return (status);
}

static uint8_t
read_dac(struct vga *chip)
{
	uint8_t value = chip->s.dac[chip->s.dac_index][chip->s.dac_part];

	if (++chip->s.dac_part == 3) {
		chip->s.dac_part = 0;
		chip->s.dac_index++;
	}
	return (value);
}

static void
write_dac(struct vga *chip, uint8_t value)
{
	chip->s.dac[chip->s.dac_index][chip->s.dac_part] = value & 0x3f;
	if (++chip->s.dac_part == 3) {
		chip->s.dac_part = 0;
		chip->s.dac_index++;
	}
}

static void
set_dac_index(struct vga *chip, uint8_t index, bool reading)
{
	chip->s.dac_index = index;
	chip->s.dac_part = 0;
	chip->s.dac_reading = reading;
}

static uint8_t
indexed(const uint8_t *regs, unsigned count, unsigned index)
{
	return (index < count ? regs[index] : 0);
}

/* Whether REG belongs to the half (3Bx or 3Dx) that is not there now. */
static bool
other_half(const struct vga *chip, unsigned reg)
{
	bool colour = (chip->s.misc & MISC_COLOUR) != 0;

	return ((reg < ATTR_INDEX && colour) || (reg >= 0x20 && !colour));
}

static uint32_t
port_read(void *opaque, uint16_t reg, unsigned size)
{
	struct vga *chip = opaque;
	const struct vga_state *s = &chip->s;

	(void)size;
	if (other_half(chip, reg))
		return (0xff);
	switch (reg) {
	case CRTC_INDEX_MONO:
	case CRTC_INDEX_COLOUR:
		return (s->crtc_index);
	case CRTC_DATA_MONO:
	case CRTC_DATA_COLOUR:
		return (indexed(s->crtc, VGA_CRTC_COUNT, s->crtc_index));
	case STATUS1_MONO:
	case STATUS1_COLOUR:
		chip->s.attr_data = 0;
		return (status1(chip));
	case ATTR_INDEX:
		return (s->attr_index);
	case ATTR_DATA:
		return (indexed(s->attr, VGA_ATTR_COUNT, s->attr_index & 0x1fu));
	case STATUS0_MISC:
		return (0x10); /* switch sense: a monitor is there */
	case ENABLE:
		return (s->enabled);
	case SEQ_INDEX:
		return (s->seq_index);
	case SEQ_DATA:
		return (indexed(s->seq, VGA_SEQ_COUNT, s->seq_index));
	case PEL_MASK:
		return (s->pel_mask);
	case DAC_READ_INDEX:
		return (s->dac_reading ? 3 : 0);
	case DAC_WRITE_INDEX:
		return (s->dac_index);
	case DAC_DATA:
		return (read_dac(chip));
	case FEATURE_READ:
		return (s->feature);
	case MISC_READ:
		return (s->misc);
	case GFX_INDEX:
		return (s->gfx_index);
	case GFX_DATA:
		return (indexed(s->gfx, VGA_GFX_COUNT, s->gfx_index));
	default:
		return (0xff);
	}
}

static void
write_crtc(struct vga *chip, uint8_t value)
{
	unsigned index = chip->s.crtc_index;

	if (index >= VGA_CRTC_COUNT)
		return;
	/* Registers 0 to 7 can be protected, but for bit 8 of the line compare. */
	if (index <= CRTC_OVERFLOW && (chip->s.crtc[CRTC_VRETRACE_END] & CRTC11_PROTECT) != 0) {
		if (index == CRTC_OVERFLOW)
			chip->s.crtc[index] =
			    (uint8_t)((chip->s.crtc[index] & ~0x10) | (value & 0x10));
		return;
	}
	chip->s.crtc[index] = value;
}

/* 3C0 takes index and data in turn; reading status 1 makes the next an index. */
static void
write_attr(struct vga *chip, uint8_t value)
{
	unsigned index = chip->s.attr_index & 0x1fu;

	chip->s.attr_data ^= 1;
	if (chip->s.attr_data != 0) {
		chip->s.attr_index = value & 0x3f;
		return;
	}
	/* The palette can be written only while the screen does not use it. */
	if (index < 16 && (chip->s.attr_index & ATTR_PAS) != 0)
		return;
	if (index < VGA_ATTR_COUNT)
		chip->s.attr[index] = value & attr_bits(index);
}

static void
port_write(void *opaque, uint16_t reg, unsigned size, uint32_t word)
{
	struct vga *chip = opaque;
	struct vga_state *s = &chip->s;
	uint8_t value = (uint8_t)word;

	(void)size;
	if (other_half(chip, reg))
		return;
	switch (reg) {
	case CRTC_INDEX_MONO:
	case CRTC_INDEX_COLOUR:
		s->crtc_index = value & 0x3f;
		break;
	case CRTC_DATA_MONO:
	case CRTC_DATA_COLOUR:
		write_crtc(chip, value);
		break;
	case STATUS1_MONO:
	case STATUS1_COLOUR: /* feature control */
		s->feature = value & 0x03;
		break;
	case ATTR_INDEX:
		write_attr(chip, value);
		break;
	case STATUS0_MISC:
		s->misc = value & 0xef;
		break;
	case ENABLE:
		s->enabled = value & 1;
		break;
	case SEQ_INDEX:
		s->seq_index = value & 0x07;
		break;
	case SEQ_DATA:
		if (s->seq_index < VGA_SEQ_COUNT)
			s->seq[s->seq_index] = value & seq_bits[s->seq_index];
		vga_update_window(chip);
		break;
	case PEL_MASK:
		s->pel_mask = value;
		break;
	case DAC_READ_INDEX:
	case DAC_WRITE_INDEX:
		set_dac_index(chip, value, reg == DAC_READ_INDEX);
		break;
	case DAC_DATA:
		write_dac(chip, value);
		break;
	case GFX_INDEX:
		s->gfx_index = value & 0x0f;
		break;
	case GFX_DATA:
		if (s->gfx_index < VGA_GFX_COUNT)
			s->gfx[s->gfx_index] = value & gfx_bits[s->gfx_index];
		break;
	default:
		break;
	}
}

const struct port_ops vga_ports = {.read = port_read, .write = port_write};

/* The colours of EGA: two bits each of red, green, blue, the lower ones in bits 5..3. */
static void
load_palette(struct vga *chip)
{
	for (unsigned i = 0; i < 64; i++)
		for (unsigned part = 0; part < 3; part++)
			chip->s.dac[i][part] =
			    (uint8_t)((i >> (2 - part) & 1) * 0x2a + (i >> (5 - part) & 1) * 0x15);
}

void
vga_load_mode(struct vga *chip, const struct vga_mode *mode)
{
	chip->s.misc = mode->misc;
	memcpy(chip->s.seq, mode->seq, sizeof(mode->seq));
	memcpy(chip->s.crtc, mode->crtc, sizeof(mode->crtc));
	memcpy(chip->s.gfx, mode->gfx, sizeof(mode->gfx));
	memcpy(chip->s.attr, mode->attr, sizeof(mode->attr));
	chip->s.attr_index = ATTR_PAS;
	chip->s.attr_data = 0;
	chip->s.pel_mask = 0xff;
	load_palette(chip);
	vga_update_window(chip);
}

void
vga_init(struct vga *chip, struct clock *clock, struct memory *mem)
{
	memset(chip, 0, sizeof(*chip));
	chip->clock = clock;
	chip->mem = mem;
	vga_reset(chip);
}

void
vga_reset(struct vga *chip)
{
	memset(&chip->s, 0, sizeof(chip->s));
	memset(chip->plane, 0, sizeof(chip->plane));
	chip->s.enabled = 1;
	vga_load_mode(chip, &vga_mode3);
}

static unsigned
clamp(unsigned value, unsigned most)
{
	return (value < 1 ? 1 : value > most ? most : value);
}

static void
find_cursor(const struct vga *chip, struct vga_text *text)
{
	const uint8_t *crtc = chip->s.crtc;
	unsigned at = (unsigned)crtc[CRTC_CURSOR_HIGH] << 8 | crtc[CRTC_CURSOR_LOW];
	unsigned cell = (at - text->start) % (text->size / 2);

	text->cursor_row = cell / text->stride;
	text->cursor_column = cell % text->stride;
	text->cursor_first = crtc[CRTC_CURSOR_START] & 0x1fu;
	text->cursor_last = crtc[CRTC_CURSOR_END] & 0x1fu;
	/* Bit 5 turns it off; so does an end before its start, or a start below the cell. */
	text->cursor_on = (crtc[CRTC_CURSOR_START] & 0x20) == 0 &&
	    text->cursor_first <= text->cursor_last && text->cursor_first < text->cell_height &&
	    text->cursor_row < text->rows && text->cursor_column < text->columns;
	if (text->cursor_last >= text->cell_height)
		text->cursor_last = text->cell_height - 1;
}

/* Which glyphs, and how their dots become the screen's. */
static void
find_glyphs(const struct vga *chip, struct vga_text *text)
{
	unsigned map = chip->s.seq[3];
	/* Map B (attribute bit 3 clear) and A: two bits each, and one that selects odd 8 KB. */
	unsigned b = (map & 3) << 1 | (map >> 4 & 1), a = (map >> 2 & 3) << 1 | (map >> 5 & 1);

	text->font[0] = b;
	text->font[1] = a;
	text->dots = (chip->s.seq[1] & SEQ1_DOTS8) != 0 ? 8 : 9;
	text->wide = (chip->s.seq[1] & SEQ1_HALF_CLOCK) != 0;
	text->tall = (chip->s.crtc[CRTC_MAX_SCAN] & 0x80) != 0;
	text->line_graphics = (chip->s.attr[16] & ATTR_LINE_GRAPHICS) != 0;
	text->underline = chip->s.crtc[CRTC_UNDERLINE] & 0x1fu;
}

struct vga_text
vga_text_layout(const struct vga *chip)
{
	/* Graphics controller 6, bits 3..2: memory map. */
	static const struct {
		uint32_t base, size;
	} windows[4] = {
	    {0xa0000, 0x20000}, {0xa0000, 0x10000}, {0xb0000, 0x8000}, {0xb8000, 0x8000}};
	const uint8_t *crtc = chip->s.crtc;
	unsigned map = chip->s.gfx[6] >> 2 & 3, lines;
	struct vga_text text = {.base = windows[map].base, .size = windows[map].size};

	text.text = (chip->s.gfx[6] & 1) == 0 && (chip->s.attr[16] & 1) == 0;
	text.blank = (chip->s.attr_index & ATTR_PAS) == 0 || (chip->s.seq[1] & SEQ1_OFF) != 0;
	text.columns = clamp(crtc[CRTC_HDISPLAY] + 1u, VGA_TEXT_COLUMNS_MAX);
	text.cell_height = (crtc[CRTC_MAX_SCAN] & 0x1fu) + 1;
	lines = vertical(chip, CRTC_VDISPLAY, 1, 6) + 1;
	/* Each line twice: a mode of 200 lines. */
	if ((crtc[CRTC_MAX_SCAN] & 0x80) != 0)
		lines /= 2;
	text.rows = clamp(lines / text.cell_height, VGA_TEXT_ROWS_MAX);
	text.stride = crtc[CRTC_OFFSET] != 0 ? crtc[CRTC_OFFSET] * 2u : text.columns;
	text.start =
	    ((uint32_t)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW]) % (text.size / 2);
	text.blink = (chip->s.attr[16] & 0x08) != 0;
	find_cursor(chip, &text);
	find_glyphs(chip, &text);
	return (text);
}

uint32_t
vga_text_cell(const struct vga_text *text, unsigned row, unsigned column)
{
	return (text->base + (text->start + row * text->stride + column) * 2 % text->size);
}

uint32_t
vga_colour(const struct vga *chip, unsigned colour)
{
	const uint8_t *attr = chip->s.attr;
	/* Register 12h: the planes that count. */
	unsigned index = attr[colour & attr[18] & 15] & 0x3fu;

	/* Colour select: bits 7..6 always, 5..4 if attribute mode control bit 7 says so. */
	if ((attr[16] & 0x80) != 0)
		index = (index & 0x0f) | (attr[20] & 0x03u) << 4;
	index |= (attr[20] & 0x0cu) << 4;
	return (vga_dac_colour(chip, (uint8_t)index));
}

uint32_t
vga_dac_colour(const struct vga *chip, uint8_t index)
{
	uint32_t rgb = 0;

	index &= chip->s.pel_mask;
	for (unsigned part = 0; part < 3; part++) {
		uint32_t six = chip->s.dac[index][part];

		rgb = rgb << 8 | six << 2 | six >> 4;
	}
	return (rgb);
}

static int
restored(void *owner)
{
	struct vga *chip = owner;
	struct vga_state *s = &chip->s;

	s->misc &= 0xef;
	s->feature &= 0x03;
	s->enabled &= 1;
	s->seq_index &= 0x07;
	s->crtc_index &= 0x3f;
	s->gfx_index &= 0x0f;
	s->attr_index &= 0x3f;
	s->attr_data &= 1;
	s->dac_part %= 3;
	s->dac_reading &= 1;
	for (unsigned i = 0; i < VGA_SEQ_COUNT; i++)
		s->seq[i] &= seq_bits[i];
	for (unsigned i = 0; i < VGA_GFX_COUNT; i++)
		s->gfx[i] &= gfx_bits[i];
	for (unsigned i = 0; i < VGA_ATTR_COUNT; i++)
		s->attr[i] &= attr_bits(i);
	for (unsigned i = 0; i < 256; i++)
		for (unsigned part = 0; part < 3; part++)
			s->dac[i][part] &= 0x3f;
	vga_update_window(chip);
	return (0);
}

struct section
vga_section(struct vga *chip)
{
	return ((struct section){
	    .id = "vga",
	    .version = 2,
	    .size = sizeof(chip->s),
	    .data = &chip->s,
	    .restored = restored,
	    .owner = chip,
	});
}
