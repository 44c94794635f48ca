/*
 * VGA (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"): all registers are kept
 * and read back, the retrace bits run with the clock. The text window at B8000 (or B0000) is guest
 * RAM; while the sequencer's memory mode leaves addresses as they are, which is how fonts get into
 * plane 2, the window at A0000 leads to the four planes.
 *
 * Who shows the screen asks vga_text_layout() where things are, vga_colour() for colours and
 * vga_glyph() for what characters look like; or, in a graphics mode, vga_graphics_line().
 */
#ifndef DEVICE_VGA_H
#define DEVICE_VGA_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/memory.h"
#include "bus/section.h"

/* The chip's registers are numbered by port: 3B0h is 0. */
#define VGA_FIRST_PORT 0x3b0
#define VGA_PORTS 0x30

#define VGA_SEQ_COUNT 5
#define VGA_CRTC_COUNT 25
#define VGA_GFX_COUNT 9
#define VGA_ATTR_COUNT 21

#define VGA_PLANES 4
#define VGA_PLANE_SIZE 0x10000
#define VGA_WINDOW_NAME "vga" /* of its region in the memory map */
#define VGA_GLYPHS 256
#define VGA_GLYPH_SIZE 32 /* bytes from one glyph to the next in plane 2 */

#define VGA_TEXT_COLUMNS_MAX 132
#define VGA_TEXT_ROWS_MAX 60

struct vga_state {
	uint8_t misc;
	uint8_t feature;
	uint8_t enabled; /* 3C3 */
	uint8_t seq_index;
	uint8_t crtc_index;
	uint8_t gfx_index;
	uint8_t attr_index; /* bit 5: palette address source */
	uint8_t attr_data;  /* flip-flop: the next write to 3C0 is data */
	uint8_t seq[VGA_SEQ_COUNT];
	uint8_t crtc[VGA_CRTC_COUNT];
	uint8_t gfx[VGA_GFX_COUNT];
	uint8_t attr[VGA_ATTR_COUNT];
	uint8_t pel_mask;
	uint8_t dac_index; /* of the next access to 3C9 */
	uint8_t dac_part;  /* 0 = red, 1 = green, 2 = blue comes next */
	uint8_t dac_reading;
	uint8_t dac[256][3];
	uint8_t latch[VGA_PLANES];
};

struct vga {
	struct vga_state s;
	struct clock *clock;
	struct memory *mem; /* its window is there; NULL: none */
	uint8_t plane[VGA_PLANES][VGA_PLANE_SIZE];
};

/* All registers of a mode, as BIOSes tabulate them. */
struct vga_mode {
	uint8_t misc;
	uint8_t seq[VGA_SEQ_COUNT];
	uint8_t crtc[VGA_CRTC_COUNT];
	uint8_t gfx[VGA_GFX_COUNT];
	uint8_t attr[VGA_ATTR_COUNT];
};

/* Mode 3: 80x25 characters of 9x16. */
extern const struct vga_mode vga_mode3;

/* Where the text screen is and what it looks like. Cells are pairs of character and attribute. */
struct vga_text {
	bool text;	      /* false: a graphics mode, nothing else below is valid */
	bool blank;	      /* the screen is turned off */
	unsigned columns;     /* 1..VGA_TEXT_COLUMNS_MAX */
	unsigned rows;	      /* 1..VGA_TEXT_ROWS_MAX */
	unsigned stride;      /* cells from one row to the next */
	unsigned cell_height; /* in scan lines */
	uint32_t base;	      /* guest-physical address of the window: B8000h, B0000h or A0000h */
	uint32_t size;	      /* of the window; addresses wrap in it */
	uint32_t start;	      /* first cell shown */
	bool cursor_on;	      /* and on the screen */
	unsigned cursor_column;
	unsigned cursor_row;
	unsigned cursor_first; /* scan lines of the cell */
	unsigned cursor_last;
	bool blink;	    /* attribute bit 7 blinks, else it is a bright background */
	unsigned underline; /* scan line of the cell */
	unsigned dots;	    /* columns of dots in a cell, 8 or 9 */
	bool wide, tall;    /* each dot twice, each scan line twice */
	bool line_graphics; /* the ninth dot of C0h to DFh is like the eighth */
	unsigned font[2];   /* which of vga_glyph()'s, by attribute bit 3 */
};

extern const struct port_ops vga_ports;

/* Power on: mode 3 with the standard palette, and no glyphs. MEM (or NULL) gets vga_window(). */
void vga_init(struct vga *chip, struct clock *clock, struct memory *mem);
void vga_reset(struct vga *chip);
/* Load all registers, and the 64 colours of the text modes' palette. */
void vga_load_mode(struct vga *chip, const struct vga_mode *mode);
struct vga_text vga_text_layout(const struct vga *chip);
/* Guest-physical address of a cell. */
uint32_t vga_text_cell(const struct vga_text *text, unsigned row, unsigned column);
/* What colour (0..15) of an attribute looks like: 0xRRGGBB. */
uint32_t vga_colour(const struct vga *chip, unsigned colour);
/* What DAC register INDEX looks like: 0xRRGGBB. */
uint32_t vga_dac_colour(const struct vga *chip, uint8_t index);

/* A graphics mode, when vga_text_layout() says that it is one. */
struct vga_graphics {
	unsigned width, height; /* in dots; as the monitor gets them: 640x400 for mode 13h */
};
struct vga_graphics vga_graphics_layout(const struct vga *chip);
/* Line Y of it: as many colours 0xRRGGBB as it is wide. */
void vga_graphics_line(const struct vga *chip, unsigned y, uint32_t *rgb);
uint8_t vga_plane_byte(const struct vga *chip, unsigned plane, uint32_t offset);

/* The window at A0000, for the memory map. */
struct mem_region vga_window(struct vga *chip);
/* The window follows the registers: RAM, or the planes. */
void vga_update_window(struct vga *chip);
/* Fill plane 2 with 256 glyphs of HEIGHT lines as font 0, and nothing else. */
void vga_load_font(struct vga *chip, const uint8_t *font, unsigned height);
/* The lines of character CH, up to VGA_GLYPH_SIZE of them, in FONT (0..7, by 8 KB of plane 2). */
const uint8_t *vga_glyph(const struct vga *chip, unsigned font, uint8_t ch);
struct section vga_section(struct vga *chip);
struct section vga_memory_section(struct vga *chip);

#endif
