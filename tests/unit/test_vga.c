/* VGA: register access, protection, retrace timing, DAC, the text screen's layout. */
#include "unit.h"

#include <string.h>

#include "device/vga.h"
#include "fake.h"

static struct fake_clock fake;
static struct vga vga;
static struct bus bus;

static int
setup(void **state)
{
	(void)state;
	fake_clock_init(&fake);
	vga_init(&vga, &fake.clock, NULL);
	memset(&bus, 0, sizeof(bus));
	bus_attach(&bus, "vga", &vga_ports, &vga, VGA_FIRST_PORT, VGA_PORTS, 0);
	return (0);
}

static void
set(uint16_t port, unsigned index, unsigned value)
{
	bus_out(&bus, port, 2, index | value << 8);
}

static uint32_t
get(uint16_t port, unsigned index)
{
	bus_out(&bus, port, 1, index);
	return (bus_in(&bus, (uint16_t)(port + 1), 1));
}

static void
mode_3_at_power_on(void **state)
{
	struct vga_text text = vga_text_layout(&vga);

	(void)state;
	assert_true(text.text);
	assert_false(text.blank);
	assert_int_equal(text.columns, 80);
	assert_int_equal(text.rows, 25);
	assert_int_equal(text.stride, 80);
	assert_int_equal(text.cell_height, 16);
	assert_int_equal(text.base, 0xb8000);
	assert_int_equal(text.size, 0x8000);
	assert_int_equal(text.start, 0);
	assert_true(text.blink);
	assert_true(text.cursor_on);
	assert_int_equal(text.cursor_first, 13);
	assert_int_equal(text.cursor_last, 14);
	assert_int_equal(bus_in(&bus, 0x3cc, 1), 0x67);
	assert_int_equal(get(0x3d4, 0x01), 0x4f);
	assert_int_equal(get(0x3c4, 0x04), 0x02);
	assert_int_equal(get(0x3ce, 0x06), 0x0e);
}

static void
indexed_registers(void **state)
{
	(void)state;
	set(0x3c4, 2, 0xff);
	assert_int_equal(get(0x3c4, 2), 0x0f); /* only the bits that exist */
	set(0x3ce, 8, 0x5a);
	assert_int_equal(get(0x3ce, 8), 0x5a);
	set(0x3d4, 0x0e, 0x12);
	assert_int_equal(get(0x3d4, 0x0e), 0x12);
	assert_int_equal(bus_in(&bus, 0x3d4, 1), 0x0e);
	/* Beyond the last: nothing. */
	set(0x3d4, 0x30, 0x12);
	assert_int_equal(get(0x3d4, 0x30), 0);
	set(0x3ce, 9, 0x12);
	set(0x3c4, 5, 0x12);
	set(0x3d4, VGA_CRTC_COUNT, 0x12);
	set(0x3c4, 7, 0x12);
	vga_reset(&vga);
	set(0x3ce, 9, 0x12);
	set(0x3c4, 5, 0x12);
	set(0x3d4, VGA_CRTC_COUNT, 0x12);
	/* ...and their neighbours are left alone. */
	assert_memory_equal(vga.s.crtc, vga_mode3.crtc, sizeof(vga.s.crtc));
	assert_memory_equal(vga.s.gfx, vga_mode3.gfx, sizeof(vga.s.gfx));
	assert_memory_equal(vga.s.attr, vga_mode3.attr, sizeof(vga.s.attr));
	assert_int_equal(get(0x3ce, 9), 0);
	assert_int_equal(get(0x3c4, 7), 0);
	assert_int_equal(bus_in(&bus, 0x3c3, 1), 1);
	assert_int_equal(bus_in(&bus, 0x3cb, 1), 0xff);
}

static void
write_protection(void **state)
{
	(void)state;
	set(0x3d4, 0x00, 0x11);
	assert_int_equal(get(0x3d4, 0x00), 0x5f);
	set(0x3d4, 0x07, 0xff);
	assert_int_equal(get(0x3d4, 0x07), 0x1f); /* bit 4 could be written; it was set */
	set(0x3d4, 0x07, 0x00);
	assert_int_equal(get(0x3d4, 0x07), 0x0f);
	set(0x3d4, 0x11, 0x0e);
	set(0x3d4, 0x00, 0x11);
	assert_int_equal(get(0x3d4, 0x00), 0x11);
}

static void
monochrome_ports(void **state)
{
	(void)state;
	assert_int_equal(bus_in(&bus, 0x3b4, 1), 0xff);
	set(0x3b4, 0x0e, 0x77);
	assert_int_equal(get(0x3d4, 0x0e), 0);
	bus_out(&bus, 0x3c2, 1, 0x66);
	assert_int_equal(bus_in(&bus, 0x3d4, 1), 0xff);
	set(0x3b4, 0x0e, 0x77);
	assert_int_equal(get(0x3b4, 0x0e), 0x77);
	assert_int_not_equal(bus_in(&bus, 0x3ba, 1), 0xff);
}

static void
attribute_flip_flop(void **state)
{
	(void)state;
	bus_in(&bus, 0x3da, 1);
	bus_out(&bus, 0x3c0, 1, 0x10);
	bus_out(&bus, 0x3c0, 1, 0x04);
	assert_int_equal(bus_in(&bus, 0x3c0, 1), 0x10);
	assert_int_equal(bus_in(&bus, 0x3c1, 1), 0x04);
	assert_true(vga_text_layout(&vga).blank); /* the palette is the CPU's now */
	bus_out(&bus, 0x3c0, 1, 0x01);
	bus_in(&bus, 0x3da, 1); /* the next is an index again */
	bus_out(&bus, 0x3c0, 1, 0x02);
	bus_out(&bus, 0x3c0, 1, 0xff);
	assert_int_equal(vga.s.attr[1], 0x01);
	assert_int_equal(vga.s.attr[2], 0x3f);
	/* With the screen on, the palette is not written, the rest is. */
	bus_out(&bus, 0x3c0, 1, 0x22);
	bus_out(&bus, 0x3c0, 1, 0x05);
	assert_int_equal(vga.s.attr[2], 0x3f);
	bus_out(&bus, 0x3c0, 1, 0x33);
	bus_out(&bus, 0x3c0, 1, 0x05);
	assert_int_equal(vga.s.attr[0x13], 0x05);
	assert_false(vga_text_layout(&vga).blank);
	bus_out(&bus, 0x3c0, 1, 0x3f);
	bus_out(&bus, 0x3c0, 1, 0x05);
	assert_int_equal(bus_in(&bus, 0x3c1, 1), 0);
	bus_in(&bus, 0x3da, 1);
	bus_out(&bus, 0x3c0, 1, 0x35); /* one past the last */
	bus_out(&bus, 0x3c0, 1, 0x05);
	assert_int_equal(vga.s.pel_mask, 0xff);
	/* Mode control may be written while the screen is on. */
	bus_out(&bus, 0x3c0, 1, 0x30);
	bus_out(&bus, 0x3c0, 1, 0x08);
	assert_int_equal(vga.s.attr[0x10], 0x08);
	/* A mode set leaves the flip-flop at index. */
	bus_out(&bus, 0x3c0, 1, 0x31);
	vga_load_mode(&vga, &vga_mode3);
	bus_out(&bus, 0x3c0, 1, 0x33);
	assert_int_equal(bus_in(&bus, 0x3c0, 1), 0x33);
}

static void
dac(void **state)
{
	(void)state;
	bus_out(&bus, 0x3c8, 1, 254);
	assert_int_equal(bus_in(&bus, 0x3c7, 1), 0);
	for (unsigned i = 1; i <= 9; i++)
		bus_out(&bus, 0x3c9, 1, 0xc0 | i);
	assert_int_equal(bus_in(&bus, 0x3c8, 1), 1); /* went around */
	bus_out(&bus, 0x3c7, 1, 254);
	assert_int_equal(bus_in(&bus, 0x3c7, 1), 3);
	for (unsigned i = 1; i <= 9; i++)
		assert_int_equal(bus_in(&bus, 0x3c9, 1), i);
	bus_out(&bus, 0x3c6, 1, 0x0f);
	assert_int_equal(bus_in(&bus, 0x3c6, 1), 0x0f);
}

static void
colours(void **state)
{
	(void)state;
	assert_int_equal(vga_colour(&vga, 0), 0x000000);
	assert_int_equal(vga_colour(&vga, 1), 0x0000aa);
	assert_int_equal(vga_colour(&vga, 6), 0xaa5500); /* brown, not dark yellow */
	assert_int_equal(vga_colour(&vga, 7), 0xaaaaaa);
	assert_int_equal(vga_colour(&vga, 12), 0xff5555);
	assert_int_equal(vga_colour(&vga, 15), 0xffffff);
	for (unsigned part = 0; part < 3; part++)
		assert_int_equal(vga.s.dac[64][part], 0);
	vga.s.attr[20] = 0x04; /* the second set of 64 */
	vga.s.dac[64 + 7][0] = 0x3f;
	assert_int_equal(vga_colour(&vga, 7), 0xff0000);
	vga.s.attr[16] |= 0x80; /* sets of 16 */
	vga.s.attr[20] = 0x02;
	vga.s.dac[32 + 7][1] = 0x3f;
	vga.s.dac[32 + 7][0] = vga.s.dac[32 + 7][2] = 0;
	assert_int_equal(vga_colour(&vga, 7), 0x00ff00);
	vga.s.pel_mask = 0;
	assert_int_equal(vga_colour(&vga, 7), 0x000000);
}

static void
retrace(void **state)
{
	unsigned frames = 0, retraces = 0, blanks = 0;
	bool was = false;

	(void)state;
	/* One second in steps of 5 us: 70.08 frames, two of 449 lines in retrace. */
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t status = bus_in(&bus, 0x3da, 1);
		bool now = (status & 0x08) != 0;

		assert_int_equal(status & 0xf6, 0);
		frames += now && !was;
		retraces += now;
		blanks += (status & 0x01) != 0;
		was = now;
		fake_clock_run(&fake, 5000);
	}
	assert_in_range(frames, 70, 71);
	assert_in_range(retraces, 800, 1000);
	/* 80 of 100 characters and 400 of 449 lines are shown. */
	assert_in_range(blanks, 200000 * 27 / 100, 200000 * 30 / 100);
}

static void
retrace_with_odd_timing(void **state)
{
	(void)state;
	/* No division by what the registers say, no line number out of range. */
	for (unsigned value = 0; value < 256; value += 51) {
		memset(vga.s.crtc, (int)value, sizeof(vga.s.crtc));
		for (unsigned i = 0; i < 100; i++) {
			assert_int_equal(bus_in(&bus, 0x3da, 1) & 0xf6, 0);
			fake_clock_run(&fake, 7777);
		}
		vga_text_layout(&vga);
	}
}

static void
layout_follows_the_registers(void **state)
{
	struct vga_text text;

	(void)state;
	/* Scrolled by the start address, cursor in row 2, column 3. */
	set(0x3d4, 0x0c, 0x01);
	set(0x3d4, 0x0d, 0x40);
	set(0x3d4, 0x0e, 0x01);
	set(0x3d4, 0x0f, 0xe3);
	text = vga_text_layout(&vga);
	assert_int_equal(text.start, 320);
	assert_int_equal(text.cursor_row, 2);
	assert_int_equal(text.cursor_column, 3);
	assert_int_equal(vga_text_cell(&text, 0, 0), 0xb8000 + 640);
	assert_int_equal(vga_text_cell(&text, 2, 3), 0xb8000 + 640 + 326);
	/* 50 rows of 8 lines. */
	set(0x3d4, 0x09, 0x47);
	assert_int_equal(vga_text_layout(&vga).rows, 50);
	/* 200 lines, each twice, is 25 rows of 8. */
	set(0x3d4, 0x09, 0xc7);
	assert_int_equal(vga_text_layout(&vga).rows, 25);
	/* 40 columns. */
	set(0x3d4, 0x11, 0x0e);
	set(0x3d4, 0x01, 0x27);
	set(0x3d4, 0x13, 0x14);
	text = vga_text_layout(&vga);
	assert_int_equal(text.columns, 40);
	assert_int_equal(text.stride, 40);
	/* The window of monochrome modes. */
	set(0x3ce, 6, 0x0a);
	assert_int_equal(vga_text_layout(&vga).base, 0xb0000);
	set(0x3ce, 6, 0x0b);
	assert_false(vga_text_layout(&vga).text);
}

static void
layout_wraps_and_is_bounded(void **state)
{
	struct vga_text text;

	(void)state;
	set(0x3d4, 0x0c, 0x3f);
	set(0x3d4, 0x0d, 0xff);
	text = vga_text_layout(&vga);
	assert_int_equal(vga_text_cell(&text, 0, 0), 0xbfffe);
	assert_int_equal(vga_text_cell(&text, 0, 1), 0xb8000);
	set(0x3d4, 0x11, 0x0e);
	set(0x3d4, 0x01, 0xff);
	set(0x3d4, 0x09, 0x00);
	set(0x3d4, 0x13, 0x00);
	text = vga_text_layout(&vga);
	assert_int_equal(text.columns, VGA_TEXT_COLUMNS_MAX);
	assert_int_equal(text.rows, VGA_TEXT_ROWS_MAX);
	assert_int_equal(text.stride, VGA_TEXT_COLUMNS_MAX);
	for (unsigned row = 0; row < text.rows; row++)
		assert_in_range(vga_text_cell(&text, row, text.columns - 1), 0xb8000, 0xbfffe);
}

/* Which of the eight fonts, and what becomes of their dots. */
static void
how_characters_look(void **state)
{
	static const struct {
		uint8_t select, font[2];
	} maps[] = {{0x00, {0, 0}}, {0x01, {2, 0}}, {0x04, {0, 2}}, {0x0e, {4, 6}}, {0x10, {1, 0}},
	    {0x20, {0, 1}}, {0x3f, {7, 7}}};
	struct vga_text text = vga_text_layout(&vga);

	(void)state;
	assert_int_equal(text.dots, 9);
	assert_true(text.line_graphics);
	assert_false(text.wide);
	assert_false(text.tall);
	assert_int_equal(text.underline, 31);
	for (unsigned i = 0; i < COUNT(maps); i++) {
		set(0x3c4, 3, maps[i].select);
		text = vga_text_layout(&vga);
		assert_int_equal(text.font[0], maps[i].font[0]);
		assert_int_equal(text.font[1], maps[i].font[1]);
	}
	set(0x3c4, 1, 0x09);
	set(0x3d4, 9, 0x87);
	set(0x3d4, 0x14, 0x07);
	vga.s.attr[16] &= 0xfb;
	text = vga_text_layout(&vga);
	assert_int_equal(text.dots, 8);
	assert_false(text.line_graphics);
	assert_true(text.wide);
	assert_true(text.tall);
	assert_int_equal(text.underline, 7);
	assert_int_equal(text.rows, 25);
	vga.plane[2][0x6000 + 'A' * 32 + 3] = 0x5a;
	assert_int_equal(vga_glyph(&vga, 3, 'A')[3], 0x5a);
	vga.s.attr[18] = 0x07; /* without the plane of intensity */
	assert_int_equal(vga_colour(&vga, 9), vga_colour(&vga, 1));
}

static void
cursor_shapes(void **state)
{
	(void)state;
	set(0x3d4, 0x0a, 0x2d); /* bit 5: off */
	assert_false(vga_text_layout(&vga).cursor_on);
	set(0x3d4, 0x0a, 0x0f);
	assert_false(vga_text_layout(&vga).cursor_on); /* starts after its end, 0Eh */
	set(0x3d4, 0x0a, 0x00);
	set(0x3d4, 0x0b, 0x1f);
	assert_true(vga_text_layout(&vga).cursor_on);
	assert_int_equal(vga_text_layout(&vga).cursor_last, 15);
	set(0x3d4, 0x0f, 0xd0); /* cell 2000: below the last row */
	set(0x3d4, 0x0e, 0x07);
	assert_false(vga_text_layout(&vga).cursor_on);
	set(0x3d4, 0x0f, 0xcf);
	assert_true(vga_text_layout(&vga).cursor_on);
	assert_int_equal(vga_text_layout(&vga).cursor_row, 24);
	assert_int_equal(vga_text_layout(&vga).cursor_column, 79);
}

static void
state_is_kept(void **state)
{
	struct section section = vga_section(&vga);
	struct vga_state saved;

	(void)state;
	assert_string_equal(section.id, "vga");
	set(0x3d4, 0x0f, 0x55);
	memcpy(&saved, section.data, section.size);
	vga_reset(&vga);
	assert_int_equal(get(0x3d4, 0x0f), 0);
	memcpy(section.data, &saved, section.size);
	assert_int_equal(section.restored(section.owner), 0);
	assert_int_equal(get(0x3d4, 0x0f), 0x55);
}

static void
any_state_is_safe(void **state)
{
	struct section section = vga_section(&vga);
	struct vga_graphics graphics;
	uint32_t seed = 11, dots[4096];

	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		uint8_t *bytes = section.data;
		struct vga_text text;

		for (unsigned i = 0; i < section.size; i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(round % 3 == 0 ? 0xff : seed >> 24);
		}
		section.restored(section.owner);
		text = vga_text_layout(&vga);
		assert_in_range(
		    vga_text_cell(&text, text.rows - 1, text.columns - 1), 0xa0000, 0xbfffe);
		vga_colour(&vga, round & 15);
		graphics = vga_graphics_layout(&vga);
		assert_in_range(graphics.width, 8, COUNT(dots));
		assert_in_range(graphics.height, 1, 1024);
		vga_graphics_line(&vga, 0, dots);
		vga_graphics_line(&vga, graphics.height - 1, dots);
		for (uint16_t port = 0x3b0; port < 0x3e0; port++) {
			bus_in(&bus, port, 1);
			bus_out(&bus, port, 1, seed >> 16);
		}
	}
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
	    CASE(mode_3_at_power_on),
	    CASE(indexed_registers),
	    CASE(write_protection),
	    CASE(monochrome_ports),
	    CASE(attribute_flip_flop),
	    CASE(dac),
	    CASE(colours),
	    CASE(retrace),
	    CASE(retrace_with_odd_timing),
	    CASE(layout_follows_the_registers),
	    CASE(layout_wraps_and_is_bounded),
	    CASE(how_characters_look),
	    CASE(cursor_shapes),
	    CASE(state_is_kept),
	    CASE(any_state_is_safe),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
