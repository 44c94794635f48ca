"""Fonts, and pictures of text screens drawn with them."""

import picture
from conftest import BUILD, GUESTS, refused


def dump_of_fonts(host, *steps):
    """The rows of the screen that tests/guest/fonts.S leaves."""
    result = host.boot("--wait-for", "DONE", *steps, "--screenshot", "s.txt", GUESTS / "fonts.img")
    assert result.returncode == 0, result.stderr
    return (host.folder / "s.txt").read_text(encoding="utf-8").splitlines()


def test_int10_1130(host):
    rows = dump_of_fonts(host)
    fonts = [[int(word, 16) for word in row.split()] for row in rows[:9]]
    rom = (BUILD / "src" / "bios" / "pseudobios.bin").read_bytes()
    # CX and DL are of the screen's font: 16 lines and 25 rows; then 8 and 50.
    assert [font[0] for font in fonts] == [0, 1, 2, 3, 4, 5, 6, 7, 3]
    assert {font[1] for font in fonts} == {0xf000}
    assert [font[3:] for font in fonts] == 8 * [[16, 24]] + [[8, 49]]
    at = [font[2] for font in fonts]
    # Vectors 1Fh and 43h: the 8x8 font's second half, and the mode's font.
    assert (at[0], at[1]) == (at[4], at[6])
    assert at[4] == at[3] + 128 * 8 and at[8] == at[3]
    for font, height in ((2, 14), (3, 8), (6, 16)):
        for code, glyph in ((0x20, b"\x00" * height), (0xdb, b"\xff" * height)):
            assert rom[at[font] + code * height:at[font] + (code + 1) * height] == glyph
    # The ninth column's: code and glyph each, in order, up to a zero.
    for font, height in ((5, 14), (7, 16)):
        codes = []
        offset = at[font]
        while rom[offset]:
            codes.append(rom[offset])
            offset += 1 + height
        assert ord("M") in codes and codes == sorted(set(codes))
    assert rom[0xfa6e:0xfe6e] == rom[at[3]:at[3] + 1024]
    assert rows[9:] == ["XYZ", "DONE"]


def glyphs(name, height):
    """The font as it was built: code -> lines."""
    data = (BUILD / "src" / "bios" / name).read_bytes()
    return [data[code * height:(code + 1) * height] for code in range(256)]


def wide_glyphs():
    """8x16, with those that cells of nine columns have otherwise."""
    font = glyphs("8x16.bin", 16)
    data = (BUILD / "src" / "bios" / "9x16.bin").read_bytes()
    for at in range(0, len(data) - 1, 17):
        font[data[at]] = data[at + 1:at + 17]
    return font


def cell(image, at, size, step=(1, 1)):
    """The dots of the cell at column and row AT, of SIZE, each STEP dots wide and high."""
    (width, _), dots = image
    rows = []
    for y in range(size[1] * step[1]):
        start = ((at[1] * size[1] * step[1] + y) * width + at[0] * size[0] * step[0]) * 3
        rows.append([dots[start + x * 3:start + x * 3 + 3] for x in range(size[0] * step[0])])
    return rows


def expected(code, lines, ink, size, step=(1, 1)):
    """What cell() must say of a glyph on black."""
    rows = []
    for line in lines:
        on = [line >> (7 - x) & 1 for x in range(8)]
        on += [on[7] if 0xc0 <= code <= 0xdf else 0] * (size[0] - 8)
        row = [ink if dot else b"\0\0\0" for dot in on for _ in range(step[0])]
        rows += [row] * step[1]
    return rows


GREY = bytes.fromhex("aaaaaa")


def check_table(image, font, size, columns=80, ink=GREY, step=(1, 1)):
    """All characters stand from the top left cell on, as in FONT."""
    for code in range(256):
        assert cell(image, (code % columns, code // columns), size, step) == \
            expected(code, font[code], ink, size, step), hex(code)


def shots(host, *keys):
    """Pictures of tests/guest/table.S: at its begin, and after each of KEYS."""
    steps = ["--wait-for", "C0", "--screenshot", "0.png"]
    for number, key in enumerate(keys, 1):
        steps += ["--type", key, "--wait-for", f"C{number:X}", "--screenshot", f"{number}.png"]
    result = host.boot(*steps, GUESTS / "table.img")
    assert result.returncode == 0, result.stderr
    return [picture.read_png(host.folder / f"{number}.png") for number in range(len(keys) + 1)]


def test_text_modes(host):
    images = shots(host, "1", "7", "3", "s", "p", "3", "m", "3")
    font = wide_glyphs()
    assert [image[0] for image in images] == 7 * [(720, 400)] + [(720, 392), (720, 400)]
    check_table(images[0], font, (9, 16))
    check_table(images[1], font, (9, 16), columns=40, step=(2, 1))
    check_table(images[2], font, (9, 16))  # monochrome
    check_table(images[4], glyphs("8x8.bin", 8), (9, 8))
    check_table(images[5], glyphs("8x8.bin", 8), (9, 8), ink=bytes.fromhex("ff8200"))
    check_table(images[6], font, (9, 16))
    short = glyphs("8x14.bin", 14)
    for code in (ord("a"), 0xc5, 0xdb):
        assert cell(images[7], (code % 80, code // 80), (9, 14)) == \
            expected(code, short[code], GREY, (9, 14))


def test_boxes_join_on_the_screen(host):
    """Lines go through from cell to cell, over the ninth column too."""
    image = shots(host)[0]
    line = cell(image, (0xc4 % 80, 0xc4 // 80), (9, 16))
    assert line[7] == 9 * [GREY] and line[6] == 9 * [b"\0\0\0"]
    double = cell(image, (0xcd % 80, 0xcd // 80), (9, 16))
    assert [row == 9 * [GREY] for row in double] == [y in (5, 7) for y in range(16)]


def test_cursor_and_screen_off(host):
    host.boot("--wait-for", "C0", "--screenshot", "0.png", "--type", "u", "--wait-for", "C1",
              "--screenshot", "1.png", "--type", "o", "--screenshot", "2.png",
              GUESTS / "table.img")
    line, block = (picture.read_png(host.folder / name) for name in ("0.png", "1.png"))
    # Behind the two digits of row 8: two lines, or all.
    assert [row == 9 * [GREY] for row in cell(line, (2, 8), (9, 16))] == \
        [y in (13, 14) for y in range(16)]
    assert all(row == 9 * [GREY] for row in cell(block, (2, 8), (9, 16)))


def test_glyphs_of_the_guests_own(host):
    result = host.boot("--wait-for", "DONE", "--screenshot", "s.png", GUESTS / "fonts.img")
    assert result.returncode == 0, result.stderr
    image = picture.read_png(host.folder / "s.png")
    assert image[0] == (720, 400)
    for column, lines in ((1, bytes(4 * [0xff, 0])), (2, bytes(4 * [0xaa, 0x55]))):
        assert cell(image, (column, 9), (9, 8)) == expected(0, lines, GREY, (9, 8))


def test_pictures_that_cannot_be_written(host):
    (host.folder / "full.png").symlink_to("/dev/full")
    for name, why in (("nowhere/s.png", "No such file"), ("full.png", "No space left"),
                      ("full.png/s.ppm", "Not a directory")):
        refused(host.boot("--screenshot", name, GUESTS / "table.img"), f"{name}: {why}")
    refused(host.boot("--screenshot", "s.gif", GUESTS / "table.img"), "s.gif", ".png")
    assert not (host.folder / "nowhere").exists()
