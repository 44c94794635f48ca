/* The ROM's glyphs: blank where they must be, and lines, boxes and blocks join across cells. */
#include "unit.h"

#include <stdbool.h>
#include <string.h>

#include "bios/rom.h"

struct face {
	unsigned offset, height;
};

static const struct face faces[] = {{ROM_FONT_8X8, 8}, {ROM_FONT_8X14, 14}, {ROM_FONT_8X16, 16}};
#define FACES (sizeof(faces) / sizeof(faces[0]))

static const uint8_t *
glyph(const struct face *face, unsigned ch)
{
	return (bios_rom + face->offset + ch * face->height);
}

static bool
is_blank(const uint8_t *rows, unsigned height)
{
	for (unsigned i = 0; i < height; i++)
		if (rows[i] != 0)
			return (false);
	return (true);
}

/* 00h, the space and FFh are. */
static void
blanks(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FACES; f++)
		for (unsigned ch = 0; ch < 256; ch++)
			assert_int_equal(is_blank(glyph(&faces[f], ch), faces[f].height),
			    ch == 0x00 || ch == 0x20 || ch == 0xff);
}

/* No two others are alike. */
static void
all_differ(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FACES; f++)
		for (unsigned a = 1; a < 255; a++)
			for (unsigned b = a + 1; b < 255; b++)
				if (a != 0x20 && b != 0x20)
					assert_memory_not_equal(glyph(&faces[f], a),
					    glyph(&faces[f], b), faces[f].height);
}

/* Lines that leave the box characters B3h to DAh: none, single or double; up, down, left, right. */
static const uint8_t boxes[40][4] = {
    {1, 1, 0, 0}, {1, 1, 1, 0}, {1, 1, 2, 0}, {2, 2, 1, 0}, {0, 2, 1, 0}, /* B3 */
    {0, 1, 2, 0}, {2, 2, 2, 0}, {2, 2, 0, 0}, {0, 2, 2, 0}, {2, 0, 2, 0}, /* B8 */
    {2, 0, 1, 0}, {1, 0, 2, 0}, {0, 1, 1, 0}, {1, 0, 0, 1}, {1, 0, 1, 1}, /* BD */
    {0, 1, 1, 1}, {1, 1, 0, 1}, {0, 0, 1, 1}, {1, 1, 1, 1}, {1, 1, 0, 2}, /* C2 */
    {2, 2, 0, 1}, {2, 0, 0, 2}, {0, 2, 0, 2}, {2, 0, 2, 2}, {0, 2, 2, 2}, /* C7 */
    {2, 2, 0, 2}, {0, 0, 2, 2}, {2, 2, 2, 2}, {1, 0, 2, 2}, {2, 0, 1, 1}, /* CC */
    {0, 1, 2, 2}, {0, 2, 1, 1}, {2, 0, 0, 1}, {1, 0, 0, 2}, {0, 1, 0, 2}, /* D1 */
    {0, 2, 0, 1}, {2, 2, 1, 1}, {1, 1, 2, 2}, {1, 0, 1, 0}, {0, 1, 0, 1}, /* D6 */
};

/* The column of dots at BIT, top line in bit 0. */
static unsigned
column(const struct face *face, unsigned ch, unsigned bit)
{
	unsigned dots = 0;

	for (unsigned i = 0; i < face->height; i++)
		dots |= (glyph(face, ch)[i] >> bit & 1u) << i;
	return (dots);
}

static void
boxes_join(void **state)
{
	static const uint8_t edge[3] = {0x00, 0x18, 0x36};

	(void)state;
	for (unsigned f = 0; f < FACES; f++) {
		unsigned line = faces[f].height == 8 ? 4 : 7;
		const unsigned side[3] = {0, 1u << line, 1u << line | 1u << (line - 2)};

		for (unsigned i = 0; i < 40; i++) {
			const uint8_t *rows = glyph(&faces[f], 0xb3 + i);

			assert_int_equal(rows[0], edge[boxes[i][0]]);
			assert_int_equal(rows[faces[f].height - 1], edge[boxes[i][1]]);
			assert_int_equal(column(&faces[f], 0xb3 + i, 7), side[boxes[i][2]]);
			assert_int_equal(column(&faces[f], 0xb3 + i, 0), side[boxes[i][3]]);
		}
	}
}

static unsigned
count_dots(const struct face *face, unsigned ch)
{
	unsigned dots = 0;

	for (unsigned i = 0; i < face->height; i++)
		dots += (unsigned)__builtin_popcount(glyph(face, ch)[i]);
	return (dots);
}

static void
blocks_and_shades(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FACES; f++) {
		unsigned height = faces[f].height, all = height * 8;

		for (unsigned i = 0; i < height; i++) {
			assert_int_equal(glyph(&faces[f], 0xdb)[i], 0xff);
			assert_int_equal(glyph(&faces[f], 0xdc)[i], i < height / 2 ? 0 : 0xff);
			assert_int_equal(glyph(&faces[f], 0xdf)[i], i < height / 2 ? 0xff : 0);
			assert_int_equal(glyph(&faces[f], 0xdd)[i], 0xf0);
			assert_int_equal(glyph(&faces[f], 0xde)[i], 0x0f);
			/* The pattern goes on from cell to cell. */
			for (unsigned ch = 0xb0; ch <= 0xb2; ch++)
				assert_int_equal(
				    glyph(&faces[f], ch)[i], glyph(&faces[f], ch)[i % 2]);
		}
		assert_int_equal(count_dots(&faces[f], 0xb0), all / 4);
		assert_int_equal(count_dots(&faces[f], 0xb1), all / 2);
		assert_int_equal(count_dots(&faces[f], 0xb2), all * 3 / 4);
		/* The two halves of the integral sign. */
		assert_int_equal(glyph(&faces[f], 0xf4)[height - 1], glyph(&faces[f], 0xf5)[0]);
	}
}

/* Letters and digits keep clear of the next cell and of the lines above and below them. */
static void
letters_stand_apart(void **state)
{
	(void)state;
	for (unsigned f = 0; f < FACES; f++)
		for (const char *p =
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
		     *p != '\0'; p++) {
			assert_int_equal(column(&faces[f], (uint8_t)*p, 0), 0);
			if (strchr("gjpqyQ", *p) == NULL)
				assert_int_equal(
				    glyph(&faces[f], (uint8_t)*p)[faces[f].height - 1], 0);
			if (faces[f].height > 8)
				assert_int_equal(glyph(&faces[f], (uint8_t)*p)[0], 0);
		}
}

/* The first half of the 8x8 font at its old place too, up to INT 1Ah's entry. */
static void
old_place(void **state)
{
	(void)state;
	assert_int_equal(ROM_FONT_OLD, 0xfa6e);
	assert_memory_equal(bios_rom + ROM_FONT_OLD, bios_rom + ROM_FONT_8X8, 1024);
	assert_int_equal(bios_rom[0xfe6e], 0xe9); /* a jump */
}

/* Code and glyph, in order, and the end. */
static void
wide_glyphs(void **state)
{
	static const struct face wide[] = {{ROM_FONT_9X14, 14}, {ROM_FONT_9X16, 16}};

	(void)state;
	for (unsigned f = 0; f < 2; f++) {
		const uint8_t *at = bios_rom + wide[f].offset;
		unsigned before = 0, count = 0;

		for (; *at != 0; at += 1 + wide[f].height, count++) {
			assert_true(*at > before);
			assert_false(is_blank(at + 1, wide[f].height));
			before = *at;
		}
		assert_in_range(count, 1, 40);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blanks),
	    cmocka_unit_test(all_differ),
	    cmocka_unit_test(boxes_join),
	    cmocka_unit_test(blocks_and_shades),
	    cmocka_unit_test(letters_stand_apart),
	    cmocka_unit_test(old_place),
	    cmocka_unit_test(wide_glyphs),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
