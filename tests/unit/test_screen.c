/* The text screen: capture from memory, code page 437, search. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/cp437.h"
#include "console/screen.h"

static struct memory mem;
static struct screen screen;
static struct screen_layout layout;
static int fd;

static int
setup(void **state)
{
	(void)state;
	fd = memfd_create("test", 0);
	assert_int_equal(memory_init(&mem, fd, 1 << 20, 0, true), 0);
	layout = (struct screen_layout){
	    .text = true,
	    .columns = 80,
	    .rows = 25,
	    .stride = 80,
	    .base = 0xb8000,
	    .size = 0x8000,
	    .cell_height = 16,
	    .blink = true,
	};
	for (uint32_t cell = 0; cell < 0x4000; cell++)
		memory_put16(&mem, 0xb8000 + cell * 2, 0x0720);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	memory_fini(&mem);
	close(fd);
	return (0);
}

/* Write TEXT (bytes of code page 437) into the window from CELL on. */
static void
put(unsigned cell, const char *text)
{
	for (; *text != '\0'; text++, cell++)
		memory_put8(&mem, 0xb8000 + cell * 2 % 0x8000, (uint8_t)*text);
}

static const struct screen *
capture(void)
{
	screen_capture(&screen, &mem, &layout);
	return (&screen);
}

static void
expect_screen(const char *expected)
{
	size_t length;
	char *text = screen_to_text(capture(), &length);

	assert_non_null(text);
	assert_string_equal(text, expected);
	assert_int_equal(length, strlen(expected));
	free(text);
}

static void
every_character_has_one_glyph(void **state)
{
	unsigned blanks = 0;

	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		uint32_t glyph = cp437_glyph((uint8_t)a);

		if (glyph == ' ') {
			blanks++;
			continue;
		}
		assert_true(glyph > ' ' && glyph != 0x7f && glyph < 0x2700);
		for (unsigned b = 0; b < a; b++)
			assert_int_not_equal(glyph, cp437_glyph((uint8_t)b));
	}
	assert_int_equal(blanks, 3);
	assert_int_equal(cp437_glyph('A'), 'A');
	assert_int_equal(cp437_glyph(0x01), 0x263a);
	assert_int_equal(cp437_glyph(0x7f), 0x2302);
	assert_int_equal(cp437_glyph(0xb3), 0x2502);
	assert_int_equal(cp437_glyph(0xdb), 0x2588);
	assert_int_equal(cp437_glyph(0xe1), 0xdf);
	assert_int_equal(cp437_glyph(0xfe), 0x25a0);
}

static void
utf8_there_and_back(void **state)
{
	static const uint32_t codes[] = {
	    1, 0x7f, 0x80, 0x7ff, 0x800, 0x2588, 0xffff, 0x10000, 0x10ffff};
	static const char bad[] = "\x80\xc0\xaf\xe2\x94z\xf5\xe0\x80\x80";
	const char *at = bad;
	unsigned count = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(codes); i++) {
		char text[UTF8_MAX + 1] = "";
		size_t length = utf8_put(codes[i], text);

		at = text;
		assert_int_equal(strlen(text), length);
		assert_int_equal(utf8_get(&at), codes[i]);
		assert_ptr_equal(at, text + length);
		assert_int_equal(utf8_get(&at), 0);
	}
	/* What is no UTF-8 is no character, and the rest is still read. */
	for (at = bad; *at != '\0'; count++) {
		uint32_t code = utf8_get(&at);

		assert_true(code == 'z' || (code >= 0xdc80 && code < 0xdd00));
	}
	assert_int_equal(count, sizeof(bad) - 1);
}

static void
rows_as_text(void **state)
{
	(void)state;
	expect_screen("");
	put(0, "hello");
	put(2 * 80 + 3, "\xda\xc4\xbf \x01");
	memory_put8(&mem, 0xb8000 + 3 * 160, 0x00);
	memory_put8(&mem, 0xb8000 + 4 * 160, 0xff);
	expect_screen("hello\n\n   \xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90 \xe2\x98\xba\n");
	put(24 * 80 + 79, "x");
	capture();
	assert_int_equal(screen.cells[24][79].ch, 'x');
	assert_int_equal(screen.cells[24][79].attr, 0x07);
}

static void
start_stride_and_wrap(void **state)
{
	(void)state;
	layout.columns = 40;
	layout.rows = 3;
	layout.stride = 50;
	layout.start = 0x4000 - 53;
	put(0x4000 - 53, "first");
	put(0x4000 - 3, "second");
	put(47, "third");
	put(39 + 47, "!");
	expect_screen("first\nsecond\nthird                                  !\n");
}

static void
search(void **state)
{
	(void)state;
	put(80 + 75, "grub>");
	put(2 * 80, "no prompt");
	put(3 * 80 + 10, "a\xc4z");
	memory_put8(&mem, 0xb8000 + (3 * 80 + 13) * 2, 0x00);
	capture();
	assert_true(screen_find(&screen, "grub>"));
	assert_true(screen_find(&screen, "grub>   ")); /* blanks follow the last column */
	assert_true(screen_find(&screen, "no prompt "));
	assert_true(screen_find(&screen, "a\xe2\x94\x80z  "));
	assert_false(screen_find(&screen, "grub>x"));
	assert_false(screen_find(&screen, "grub>n")); /* not across rows */
	assert_false(screen_find(&screen, "grub> no"));
	assert_false(screen_find(&screen, "Grub>"));
	assert_false(screen_find(&screen, "a\xc4z")); /* TEXT is UTF-8 */
	assert_false(screen_find(&screen, "\xe2\x82\xac"));
}

static void
search_in_full_rows(void **state)
{
	(void)state;
	layout.columns = layout.stride = SCREEN_COLUMNS_MAX;
	put(SCREEN_COLUMNS_MAX - 1, "<>");
	capture();
	assert_true(screen_find(&screen, "< "));
	assert_false(screen_find(&screen, "<>"));
}

static void
screen_turned_off(void **state)
{
	(void)state;
	put(0, "hidden");
	layout.blank = true;
	layout.cursor_on = true;
	expect_screen("");
	assert_true(screen.text);
	assert_false(screen.cursor_on);
	assert_false(screen_find(&screen, "hidden"));
}

static void
graphics_mode(void **state)
{
	(void)state;
	put(0, "pixels");
	layout.text = false;
	capture();
	assert_false(screen.text);
	assert_false(screen_find(&screen, "pixels"));
}

/* A layout can claim anything; memory is not touched beyond what is there. */
static void
absurd_layouts(void **state)
{
	(void)state;
	layout.columns = layout.rows = layout.stride = layout.start = UINT32_MAX;
	layout.cursor_on = true;
	layout.cursor_row = SCREEN_ROWS_MAX;
	capture();
	assert_int_equal(screen.columns, SCREEN_COLUMNS_MAX);
	assert_int_equal(screen.rows, SCREEN_ROWS_MAX);
	assert_false(screen.cursor_on);
	assert_false(screen_find(&screen, "x"));
	layout.base = 0x40000000; /* nothing there */
	expect_screen("");
	layout.size = 2;
	expect_screen("");
	layout.size = 0;
	expect_screen("");
	layout.size = 3;
	expect_screen("");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_character_has_one_glyph),
	    cmocka_unit_test(utf8_there_and_back),
	    cmocka_unit_test_setup_teardown(rows_as_text, setup, teardown),
	    cmocka_unit_test_setup_teardown(start_stride_and_wrap, setup, teardown),
	    cmocka_unit_test_setup_teardown(search, setup, teardown),
	    cmocka_unit_test_setup_teardown(search_in_full_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(screen_turned_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(graphics_mode, setup, teardown),
	    cmocka_unit_test_setup_teardown(absurd_layouts, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
