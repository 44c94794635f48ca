/* From cells to dots: fonts, the ninth column, colours, cursor, wide and tall dots; and the PPM. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "console/picture.h"

static struct screen screen;
static struct picture picture;

#define BACK 0x010203u
#define INK 0xa0b0c0u

/* Two rows of three cells, nine columns and four lines each; colour 1 on colour 0. */
static int
setup(void **state)
{
	(void)state;
	memset(&screen, 0, sizeof(screen));
	screen.text = true;
	screen.columns = 3;
	screen.rows = 2;
	screen.cell_height = 4;
	screen.face.dots = 9;
	screen.face.line_graphics = true;
	screen.face.underline = 31;
	screen.colours[0] = BACK;
	screen.colours[1] = INK;
	screen.colours[9] = 0xff0000;
	screen.blink = true;
	for (unsigned row = 0; row < 2; row++)
		for (unsigned column = 0; column < 3; column++)
			screen.cells[row][column].attr = 0x01;
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	picture_free(&picture);
	return (0);
}

static void
draw(void)
{
	picture_free(&picture);
	assert_int_equal(picture_draw(&picture, &screen), 0);
}

static uint32_t
dot(unsigned x, unsigned y)
{
	const uint8_t *at = picture.rgb + ((size_t)y * picture.width + x) * 3;

	assert_true(x < picture.width && y < picture.height);
	return ((uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]);
}

/* That WIDTH dots from X, Y on are as in DOTS: # ink, . background. */
static void
expect(unsigned x, unsigned y, const char *dots)
{
	for (unsigned i = 0; dots[i] != '\0'; i++)
		assert_int_equal(dot(x + i, y), dots[i] == '#' ? INK : BACK);
}

static void
a_known_cell(void **state)
{
	static const uint8_t a[4] = {0x18, 0x24, 0x7e, 0x81};

	(void)state;
	memcpy(screen.face.glyphs[0]['A'], a, 4);
	screen.cells[1][1].ch = 'A';
	draw();
	assert_int_equal(picture.width, 27);
	assert_int_equal(picture.height, 8);
	expect(0, 3, "...........................");
	expect(0, 4, "............##.............");
	expect(0, 5, "...........#..#............");
	expect(0, 6, "..........######...........");
	expect(0, 7, ".........#......#..........");
}

/* C0h to DFh go on into the ninth column, others do not; without the attribute controller's bit none. */
static void
ninth_column(void **state)
{
	(void)state;
	for (unsigned ch = 0; ch < 256; ch++) {
		memset(screen.face.glyphs[0][ch], 0x81, 4);
		screen.cells[0][0].ch = (uint8_t)ch;
		screen.face.line_graphics = true;
		draw();
		expect(0, 0, ch >= 0xc0 && ch <= 0xdf ? "#......##" : "#......#.");
		screen.face.line_graphics = false;
		draw();
		expect(0, 0, "#......#.");
	}
	screen.face.dots = 8;
	draw();
	assert_int_equal(picture.width, 24);
	expect(0, 0, "#......#");
}

static void
colours(void **state)
{
	(void)state;
	memset(screen.face.glyphs[1]['x'], 0xf0, 4);
	screen.cells[0][0] = (struct screen_cell){'x', 0x19};
	draw();
	assert_int_equal(dot(0, 0), 0xff0000); /* attribute bit 3: the other font */
	assert_int_equal(dot(4, 0), INK);
	screen.cells[0][0].attr = 0x91;
	draw();
	assert_int_equal(dot(4, 0), INK); /* blinks, on colour 1 */
	screen.blink = false;
	draw();
	assert_int_equal(dot(4, 0), 0xff0000); /* on colour 9 */
}

static void
cursor(void **state)
{
	(void)state;
	screen.cursor_column = 2;
	screen.cursor_row = 1;
	screen.cursor_first = 2;
	screen.cursor_last = 3;
	draw();
	expect(18, 6, ".........");
	screen.cursor_on = true;
	draw();
	expect(18, 5, ".........");
	expect(17, 6, ".#########");
	expect(17, 7, ".#########");
	expect(18, 3, ".........");
}

static void
underline(void **state)
{
	(void)state;
	screen.face.underline = 3;
	screen.cells[0][1].attr = 0x07;
	screen.colours[7] = INK;
	draw();
	expect(0, 3, "#########.........#########");
	expect(0, 2, "...........................");
}

static void
wide_and_tall(void **state)
{
	(void)state;
	screen.face.wide = screen.face.tall = true;
	screen.face.glyphs[0]['A'][1] = 0xa0;
	screen.cells[0][0].ch = 'A';
	draw();
	assert_int_equal(picture.width, 54);
	assert_int_equal(picture.height, 16);
	expect(0, 1, "......");
	expect(0, 2, "##..##..");
	expect(0, 3, "##..##..");
	expect(0, 4, "......");
}

static void
ppm(void **state)
{
	struct picture_file file;

	(void)state;
	draw();
	assert_int_equal(picture_ppm(&picture, &file), 0);
	assert_int_equal(file.length, 12 + 27 * 8 * 3);
	assert_memory_equal(file.data, "P6\n27 8\n255\n\x01\x02\x03", 15);
	free(file.data);
}

static void
png(void **state)
{
	struct picture_file file;

	(void)state;
	draw();
	if (!picture_has_png()) {
		assert_int_equal(picture_png(&picture, &file), -1);
		return;
	}
	assert_int_equal(picture_png(&picture, &file), 0);
	assert_memory_equal(file.data, "\x89PNG\r\n\x1a\n", 8);
	assert_memory_equal(file.data + 16, "\0\0\0\x1b\0\0\0\x08\x08\x02", 10);
	free(file.data);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(a_known_cell),
	    CASE(ninth_column),
	    CASE(colours),
	    CASE(cursor),
	    CASE(underline),
	    CASE(wide_and_tall),
	    CASE(ppm),
	    CASE(png),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
