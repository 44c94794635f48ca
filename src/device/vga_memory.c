/*
 * The VGA's memory: four planes of 64 KB, as the CPU sees them through the window at A0000 while
 * addresses are not split into odd and even ones (IBM VGA Technical Reference, "Graphics
 * Controller", "Sequencer"). Text modes keep their characters in plane 0 and attributes in plane 1,
 * at even offsets: these bytes are the RAM at B8000 (B0000), the same in both views.
 */
#include <string.h>

#include "device/vga.h"

#define WINDOW 0xa0000u
#define MISC_COLOUR 0x01u
#define SEQ4_SEQUENTIAL 0x04u
#define SEQ4_CHAIN4 0x08u
#define GFX5_READ_COMPARE 0x08u
#define TEXT_BYTES 0x8000u

void
vga_update_window(struct vga *chip)
{
	bool planar = (chip->s.seq[4] & (SEQ4_SEQUENTIAL | SEQ4_CHAIN4)) != 0;

	if (chip->mem != NULL)
		memory_set_type(chip->mem, VGA_WINDOW_NAME, planar ? MEM_MMIO : MEM_RAM);
}

/* Where in RAM the byte at OFFSET of PLANE is; NULL: it is in the chip. */
static uint8_t *
in_ram(const struct vga *chip, unsigned plane, uint32_t offset)
{
	uint32_t text = chip->s.misc & MISC_COLOUR ? 0xb8000 : 0xb0000;

	if (plane >= 2 || offset % 2 != 0 || offset >= TEXT_BYTES || chip->mem == NULL ||
	    text + TEXT_BYTES > chip->mem->low_size)
		return (NULL);
	return (chip->mem->base + text + offset + plane);
}

static uint8_t *
byte_at(struct vga *chip, unsigned plane, uint32_t offset)
{
	uint8_t *ram = in_ram(chip, plane, offset);

	return (ram != NULL ? ram : &chip->plane[plane][offset]);
}

uint8_t
vga_plane_byte(const struct vga *chip, unsigned plane, uint32_t offset)
{
	const uint8_t *ram = in_ram(chip, plane, offset);

	return (ram != NULL ? *ram : chip->plane[plane][offset]);
}

/*
 * The address at OFFSET of the window as one in the planes, and in *PLANES those it selects; false
 * when the window is not that large (graphics controller 6, "memory map").
 */
static bool
find(const struct vga *chip, uint64_t offset, uint32_t *address, unsigned *planes)
{
	static const struct {
		uint32_t first, size;
	} maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
	unsigned map = chip->s.gfx[6] >> 2 & 3;
	uint64_t at = offset - maps[map].first;

	if (offset < maps[map].first || at >= maps[map].size)
		return (false);
	*address = (uint32_t)at % VGA_PLANE_SIZE;
	*planes = 0x0f;
	if ((chip->s.seq[4] & SEQ4_CHAIN4) != 0) {
		*planes = 1u << (at & 3);
		*address &= ~3u;
	}
	return (true);
}

static uint8_t
read_byte(struct vga *chip, uint64_t offset)
{
	const uint8_t *gfx = chip->s.gfx;
	uint32_t address;
	unsigned planes;
	uint8_t same = 0xff;

	if (!find(chip, offset, &address, &planes))
		return (0xff);
	for (unsigned p = 0; p < VGA_PLANES; p++)
		chip->s.latch[p] = *byte_at(chip, p, address);
	if ((chip->s.seq[4] & SEQ4_CHAIN4) != 0)
		return (chip->s.latch[offset & 3]);
	if ((gfx[5] & GFX5_READ_COMPARE) == 0)
		return (chip->s.latch[gfx[4] & 3]);
	/* Where all planes that count (7) have the colour (2). */
	for (unsigned p = 0; p < VGA_PLANES; p++)
		if (gfx[7] >> p & 1)
			same &= (uint8_t) ~(chip->s.latch[p] ^ (gfx[2] >> p & 1 ? 0xff : 0));
	return (same);
}

/* What the write modes 0, 2 and 3 make of VALUE for plane P, in the bits of MASK. */
static uint8_t
combine(const struct vga *chip, unsigned p, uint8_t value, uint8_t mask)
{
	const uint8_t *gfx = chip->s.gfx;
	unsigned mode = gfx[5] & 3;
	uint8_t latch = chip->s.latch[p], set = gfx[0] >> p & 1 ? 0xff : 0;

	if (mode == 2)
		value = value >> p & 1 ? 0xff : 0;
	else if (mode == 3 || (gfx[1] >> p & 1) != 0)
		value = set;
	switch (gfx[3] >> 3 & 3) {
	case 1:
		value &= latch;
		break;
	case 2:
		value |= latch;
		break;
	case 3:
		value ^= latch;
		break;
	default:
		break;
	}
	return ((uint8_t)((value & mask) | (latch & ~mask)));
}

/* What is guest memory, as all do who write there. */
static void
put_byte(struct vga *chip, unsigned plane, uint32_t address, uint8_t value)
{
	uint8_t *byte = byte_at(chip, plane, address);

	*byte = value;
	if (byte != &chip->plane[plane][address])
		memory_touched(chip->mem, (uint64_t)(byte - chip->mem->base), 1);
}

static void
write_byte(struct vga *chip, uint64_t offset, uint8_t value)
{
	const uint8_t *gfx = chip->s.gfx;
	unsigned mode = gfx[5] & 3, turn = gfx[3] & 7, planes;
	uint8_t turned = (uint8_t)(value >> turn | value << (8 - turn)), mask = gfx[8];
	uint32_t address;

	if (!find(chip, offset, &address, &planes))
		return;
	if (mode == 0 || mode == 3)
		value = turned;
	if (mode == 3)
		mask &= turned;
	planes &= chip->s.seq[2];
	for (unsigned p = 0; p < VGA_PLANES; p++)
		if (planes >> p & 1)
			put_byte(chip, p, address,
			    mode == 1 ? chip->s.latch[p] : combine(chip, p, value, mask));
}

static uint64_t
window_read(void *opaque, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_byte(opaque, offset + i) << (i * 8);
	return (value);
}

static void
window_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		write_byte(opaque, offset + i, (uint8_t)(value >> (i * 8)));
}

struct mem_region
vga_window(struct vga *chip)
{
	static const struct mmio_ops ops = {window_read, window_write};

	return ((struct mem_region){
	    .gpa = WINDOW,
	    .size = 0x20000,
	    .type = MEM_RAM,
	    .ops = &ops,
	    .opaque = chip,
	    .name = VGA_WINDOW_NAME,
	});
}

void
vga_load_font(struct vga *chip, const uint8_t *font, unsigned height)
{
	memset(chip->plane[2], 0, sizeof(chip->plane[2]));
	for (unsigned i = 0; i < VGA_GLYPHS; i++)
		memcpy(&chip->plane[2][i * VGA_GLYPH_SIZE], font + i * height, height);
}

const uint8_t *
vga_glyph(const struct vga *chip, unsigned font, uint8_t ch)
{
	return (&chip->plane[2][font * 0x2000 + ch * VGA_GLYPH_SIZE]);
}

struct section
vga_memory_section(struct vga *chip)
{
	return ((struct section){
	    .id = "vga.memory",
	    .version = 1,
	    .size = sizeof(chip->plane),
	    .data = chip->plane,
	});
}
