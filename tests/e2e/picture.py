"""Pictures as dots, without more than Python has: PPM (P6) and PNG of 8 bits RGB."""

import struct
import zlib


def read_ppm(path):
    """((width, height), bytes): three bytes a dot."""
    kind, width, height, most, dots = path.read_bytes().split(maxsplit=4)
    assert (kind, most) == (b"P6", b"255")
    size = int(width), int(height)
    # Dots may begin with what looks like a space.
    dots = path.read_bytes()[-size[0] * size[1] * 3:]
    return size, dots


def chunks(data):
    """A PNG's chunks: (kind, content), checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8:at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + content)
        yield kind, content
        at += 12 + length


def paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def unfilter(kind, row, before):
    """PNG specification, 9.2: a row's bytes from what was stored of it."""
    for i, stored in enumerate(row):
        left, corner = (row[i - 3], before[i - 3]) if i >= 3 else (0, 0)
        up = before[i]
        row[i] = (stored + (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]) % 256


def read_png(path):
    """As read_ppm()."""
    found = list(chunks(path.read_bytes()))
    assert found[0][0] == b"IHDR" and found[-1] == (b"IEND", b"")
    width, height, *form = struct.unpack(">IIBBBBB", found[0][1])
    assert form == [8, 2, 0, 0, 0]
    raw = zlib.decompress(b"".join(content for kind, content in found if kind == b"IDAT"))
    pitch = width * 3
    assert len(raw) == height * (pitch + 1)
    before = bytearray(pitch)
    dots = bytearray()
    for y in range(height):
        kind, row = raw[y * (pitch + 1)], bytearray(raw[y * (pitch + 1) + 1:(y + 1) * (pitch + 1)])
        if kind != 0:
            unfilter(kind, row, before)
        dots += row
        before = row
    return (width, height), bytes(dots)

