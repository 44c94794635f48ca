/*
 * What a VGA in a graphics mode shows, dot by dot: where the CRT controller fetches, how the
 * graphics controller's shift mode makes colours of bytes (IBM VGA Technical Reference, "CRT
 * Controller" 14h and 17h, "Graphics Controller" 5).
 */
#include <string.h>

#include "device/vga.h"

#define SEQ1_HALF_CLOCK 0x08u
#define SEQ1_OFF 0x20u
#define ATTR_PAS 0x20u
#define GFX5_INTERLEAVED 0x20u
#define GFX5_COLOURS_256 0x40u
#define CRTC14_DWORD 0x40u
#define CRTC17_A13_MA 0x01u /* else the row counter: CGA's two banks */
#define CRTC17_A14_MA 0x02u /* likewise, its bit 1: four banks */
#define CRTC17_A0_MA15 0x20u
#define CRTC17_BYTE 0x40u
#define CRTC9_TWICE 0x80u
#define CHARACTER_DOTS 8u

static unsigned
dot_width(const struct vga *chip)
{
	return (chip->s.seq[1] & SEQ1_HALF_CLOCK ? 2 : 1);
}

struct vga_graphics
vga_graphics_layout(const struct vga *chip)
{
	const uint8_t *crtc = chip->s.crtc;

	return ((struct vga_graphics){
	    .width = (crtc[0x01] + 1u) * CHARACTER_DOTS * dot_width(chip),
	    .height = (crtc[0x12] | (crtc[0x07] & 0x02u) << 7 | (crtc[0x07] & 0x40u) << 3) + 1,
	});
}

/* The planes' address of what the address counter's value AT fetches in line RA of a row. */
static uint32_t
fetched(const struct vga *chip, uint32_t at, unsigned ra)
{
	unsigned mode = chip->s.crtc[0x17];
	uint32_t address = at;

	if (chip->s.crtc[0x14] & CRTC14_DWORD)
		address = at << 2;
	else if ((mode & CRTC17_BYTE) == 0)
		address = at << 1 | (at >> (mode & CRTC17_A0_MA15 ? 15 : 13) & 1);
	if ((mode & CRTC17_A13_MA) == 0)
		address = (address & ~0x2000u) | (ra & 1) << 13;
	if ((mode & CRTC17_A14_MA) == 0)
		address = (address & ~0x4000u) | (ra & 2) << 13;
	return (address % VGA_PLANE_SIZE);
}

/* The colours of the eight dots of one fetch. */
static void
shift_out(const struct vga *chip, const uint8_t bytes[VGA_PLANES], uint32_t rgb[CHARACTER_DOTS])
{
	unsigned mode = chip->s.gfx[5], value;

	for (unsigned i = 0; i < CHARACTER_DOTS; i++) {
		if (mode & GFX5_COLOURS_256) {
			rgb[i] = vga_dac_colour(chip, bytes[i / 2]);
			continue;
		}
		if (mode & GFX5_INTERLEAVED) {
			unsigned half = i / 4, shift = 6 - i % 4 * 2;

			value = (bytes[half] >> shift & 3u) | (bytes[half + 2] >> shift & 3u) << 2;
		} else {
			value = 0;
			for (unsigned p = 0; p < VGA_PLANES; p++)
				value |= (bytes[p] >> (7 - i) & 1u) << p;
		}
		rgb[i] = vga_colour(chip, value);
	}
}

void
vga_graphics_line(const struct vga *chip, unsigned y, uint32_t *rgb)
{
	const uint8_t *crtc = chip->s.crtc;
	unsigned line = crtc[0x09] & CRTC9_TWICE ? y / 2 : y;
	unsigned row_lines = (crtc[0x09] & 0x1fu) + 1, times = dot_width(chip);
	uint32_t at = ((uint32_t)crtc[0x0c] << 8 | crtc[0x0d]) + line / row_lines * crtc[0x13] * 2;

	if ((chip->s.attr_index & ATTR_PAS) == 0 || (chip->s.seq[1] & SEQ1_OFF) != 0) {
		memset(rgb, 0, vga_graphics_layout(chip).width * sizeof(*rgb));
		return;
	}
	for (unsigned column = 0; column <= crtc[0x01]; column++) {
		uint32_t address = fetched(chip, at + column, line % row_lines);
		uint8_t bytes[VGA_PLANES];
		uint32_t dots[CHARACTER_DOTS];

		for (unsigned p = 0; p < VGA_PLANES; p++)
			bytes[p] = vga_plane_byte(chip, p, address);
		shift_out(chip, bytes, dots);
		for (unsigned i = 0; i < CHARACTER_DOTS * times; i++)
			*rgb++ = dots[i / times];
	}
}
