#!/usr/bin/env python3
"""Turn the pictures of the ROM's glyphs into the bytes that a VGA BIOS has.

usage: font.py 8x16.txt 8x8.txt 9x16.txt OUTDIR

writes 8x16.bin, 8x14.bin and 8x8.bin (256 glyphs, a byte for each line, the leftmost dot in bit 7),
and 9x16.bin and 9x14.bin (for each glyph its code and its lines; a zero byte ends the list).  Those
of 14 lines are made of those of 16 by leaving two lines out.
"""

import pathlib
import sys

DOTS = str.maketrans(".#", "01")


def read(path):
    """The glyphs of a file of pictures: code -> list of lines."""
    glyphs = {}
    codes = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        words = line.split()
        if not words or words[0] == ";":
            continue
        if not set(line) <= {".", "#", " "}:
            codes = [int(word, 16) for word in words]
            if set(codes) & set(glyphs):
                sys.exit(f"{path}:{number}: a glyph is there twice")
            glyphs.update((code, []) for code in codes)
            continue
        if len(words) != len(codes) or any(len(word) != 8 for word in words):
            sys.exit(f"{path}:{number}: {len(codes)} glyphs have 8 dots each")
        for code, word in zip(codes, words):
            glyphs[code].append(int(word.translate(DOTS), 2))
    return glyphs


def spare(code, glyph):
    """The two lines of a glyph of 16 that one of 14 does without."""
    if code in (0xdc, 0xdf):  # half blocks stay halves
        return (7, 15)
    # What reaches the next cell goes on as it ends; so do lines and boxes.
    if glyph[15] != 0 or 0xb0 <= code <= 0xdf:
        return (14, 15)
    # Below the top of small letters the line that is most like the one above it; a blank one first.
    best = min((9, 8, 10, 7, 6, 11),
               key=lambda line: ((glyph[line] ^ glyph[line - 1]).bit_count(), glyph[line] != 0))
    return (best, 15)


def shorter(code, glyph):
    """A glyph of 16 lines as one of 14."""
    return [row for line, row in enumerate(glyph) if line not in spare(code, glyph)]


def whole(glyphs, height, path):
    """All 256 glyphs in order."""
    if sorted(glyphs) != list(range(256)):
        sys.exit(f"{path}: there must be 256 glyphs")
    return b"".join(lines(glyphs[code], height, code, path) for code in range(256))


def some(glyphs, height, path):
    """Glyphs by code, and the end of the list."""
    return b"".join(bytes([code]) + lines(glyph, height, code, path)
                    for code, glyph in sorted(glyphs.items())) + b"\0"


def lines(glyph, height, code, path):
    """One glyph's bytes."""
    if len(glyph) != height:
        sys.exit(f"{path}: glyph {code:02X} has {len(glyph)} lines, not {height}")
    return bytes(glyph)


def main():
    tall, low, wide = (pathlib.Path(name) for name in sys.argv[1:4])
    out = pathlib.Path(sys.argv[4])
    glyphs, others = read(tall), read(wide)
    short = {code: shorter(code, glyph) for code, glyph in glyphs.items()}
    others_short = {code: shorter(code, glyph) for code, glyph in others.items()}
    for name, data in (("8x16", whole(glyphs, 16, tall)), ("8x14", whole(short, 14, tall)),
                       ("8x8", whole(read(low), 8, low)), ("9x16", some(others, 16, wide)),
                       ("9x14", some(others_short, 14, wide))):
        (out / f"{name}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
