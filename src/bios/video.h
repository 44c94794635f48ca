/* INT 10h's files among themselves. */
#ifndef BIOS_VIDEO_H
#define BIOS_VIDEO_H

#include "bios/call.h"

/* int10_font.c: the vectors and the character generator for cells of HEIGHT lines (8, 14, 16). */
void video_load_rom_font(struct bios *b, uint8_t block, unsigned height);
bios_handler int10_1100_load_font, int10_1101_load_8x14, int10_1102_load_8x8,
    int10_1103_select_fonts, int10_1104_load_8x16, int10_1110_set_font, int10_1111_set_8x14,
    int10_1112_set_8x8, int10_1114_set_8x16, int10_1120_font_vector, int10_1121_graphics_font,
    int10_1122_graphics_8x14, int10_1123_graphics_8x8, int10_1124_graphics_8x16,
    int10_1130_font_information;

static inline void
video_write_indexed(struct bios *b, uint16_t port, uint8_t index, unsigned value)
{
	outb(b, port, index);
	outb(b, (uint16_t)(port + 1), value);
}

static inline uint8_t
video_read_indexed(struct bios *b, uint16_t port, uint8_t index)
{
	outb(b, port, index);
	return (inb(b, (uint16_t)(port + 1)));
}

#endif
