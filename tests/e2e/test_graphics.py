"""Pictures of graphics modes, set by the VGA's registers (tests/guest/graphics.S)."""

import picture
from conftest import GUESTS, refused

BLACK, BLUE, GREEN, RED, GREY = (bytes.fromhex(colour) for colour in (
    "000000", "0000aa", "00aa00", "aa0000", "aaaaaa"))


def dot(image, x, y):
    (width, height), dots = image
    assert x < width and y < height
    return dots[(y * width + x) * 3:(y * width + x + 1) * 3]


def count(image, colour):
    dots = image[1]
    return sum(dots[at:at + 3] == colour for at in range(0, len(dots), 3))


def test_graphics_modes(host):
    steps = []
    for mode in "1234":
        steps += ["--wait-for", mode, "--screenshot", f"{mode}.png", "--type", "x"]
    result = host.boot("--serial", "stdio", *steps[:-2], GUESTS / "graphics.img")
    assert result.returncode == 0, result.stderr
    images = [picture.read_png(host.folder / f"{mode}.png") for mode in "1234"]
    assert [image[0] for image in images] == [(640, 400), (640, 480), (640, 400), (640, 400)]

    # 13h: 256 colours, each dot twice both ways.
    colours = {0: BLACK, 1: BLUE, 8: bytes.fromhex("ff8200"), 56: bytes.fromhex("555555")}
    for x, y in ((0, 0), (1, 0), (8, 0), (56, 0), (192, 1), (193, 1), (200, 1), (257, 0), (72, 199)):
        colour = colours[(y * 320 + x) % 256]
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
            got = dot(images[0], x * 2 + corner[0], y * 2 + corner[1])
            assert got == colour, (x, y)

    # 12h: a dot in two corners, in bright green and magenta.
    assert dot(images[1], 0, 0) == bytes.fromhex("55ff55")
    assert dot(images[1], 639, 479) == bytes.fromhex("aa00aa")

    # 4: two bits a dot, odd lines in the second bank.
    row = [dot(images[2], x, 0) for x in range(16)]
    assert row[:8] == 2 * [BLACK] + 2 * [GREEN] + 2 * [RED] + 2 * [GREY]
    assert [dot(images[2], x, 3) for x in range(8, 16)] == \
        2 * [GREY] + 4 * [BLACK] + 2 * [GREEN]
    assert dot(images[2], 2, 1) == GREEN and dot(images[2], 2, 2) == BLACK

    # 6: one bit a dot.
    assert [dot(images[3], x, 0) == GREY for x in range(8)] == \
        [bit == "1" for bit in format(0x1b, "08b")]
    assert [dot(images[3], x, 2) == GREY for x in range(8, 16)] == \
        [bit == "1" for bit in format(0xc1, "08b")]


def test_graphics_have_no_text(host):
    refused(host.boot("--serial", "file:com1", "--wait-for", "1", "--screenshot", "s.txt",
                      GUESTS / "graphics.img"), "s.txt", "graphics mode")
