"""Fonts: what INT 10h/1130h says of those in the ROM."""

from conftest import BUILD, GUESTS


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
