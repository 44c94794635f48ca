/* From the VGA's registers to a picture of its text screen. */
#include "console/capture.h"

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
}
