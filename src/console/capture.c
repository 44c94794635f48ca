/* From the VGA's registers to a picture of its text screen. */
#include "console/capture.h"

#include <string.h>

_Static_assert(SCREEN_GLYPH_LINES == VGA_GLYPH_SIZE, "lines of a glyph");

/* What characters look like now. */
static void
capture_face(struct screen_face *face, const struct machine *m, const struct vga_text *t)
{
	face->dots = t->dots;
	face->line_graphics = t->line_graphics;
	face->wide = t->wide;
	face->tall = t->tall;
	face->underline = t->underline;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned ch = 0; ch < VGA_GLYPHS; ch++)
			memcpy(face->glyphs[i][ch], vga_glyph(&m->vga, t->font[i], (uint8_t)ch),
			    VGA_GLYPH_SIZE);
}

static void
graphics_line(const void *opaque, unsigned y, uint32_t *rgb)
{
	vga_graphics_line(opaque, y, rgb);
}

static void
capture_graphics(struct screen_graphics *graphics, const struct machine *m)
{
	struct vga_graphics g = vga_graphics_layout(&m->vga);

	*graphics = (struct screen_graphics){g.width, g.height, graphics_line, &m->vga};
}

void
screen_capture_machine(struct screen *screen, const struct machine *m)
{
	struct vga_text t = vga_text_layout(&m->vga);
	struct screen_layout layout = {
	    .text = t.text,
	    .blank = t.blank,
	    .columns = t.columns,
	    .rows = t.rows,
	    .stride = t.stride,
	    .base = t.base,
	    .size = t.size,
	    .start = t.start,
	    .cursor_on = t.cursor_on,
	    .cursor_column = t.cursor_column,
	    .cursor_row = t.cursor_row,
	    .cell_height = t.cell_height,
	    .cursor_first = t.cursor_first,
	    .cursor_last = t.cursor_last,
	    .blink = t.blink,
	};

	for (unsigned i = 0; i < 16; i++)
		layout.colours[i] = vga_colour(&m->vga, i);
	screen_capture(screen, m->mem, &layout);
	if (t.text)
		capture_face(&screen->face, m, &t);
	else
		capture_graphics(&screen->graphics, m);
}
