"""tools/moo's program on files made here: the chunks it knows, the ones it skips, what it says."""

import gzip
import struct

import pytest

REGS = ["ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "flags"]
REGS_386 = ["cr0", "cr3", "ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "cs", "ds", "es", "fs",
            "gs", "ss", "ip", "flags", "dr6", "dr7"]
BEFORE = {**dict.fromkeys(REGS, 0), "cs": 0x1000, "ss": 0x3000, "sp": 0x100, "ip": 0x100}
CODE = 0x10100


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data


def sized(data):
    return struct.pack("<I", len(data)) + data


def registers(values, wide):
    order, size, name = (REGS_386, "I", b"RG32") if wide else (REGS, "H", b"REGS")
    mask = sum(1 << i for i, reg in enumerate(order) if reg in values)
    return chunk(name, struct.pack("<" + size, mask) +
                 b"".join(struct.pack("<" + size, values[reg]) for reg in order if reg in values))


def memory(values):
    return chunk(b"RAM ", struct.pack("<I", len(values)) +
                 b"".join(struct.pack("<IB", *item) for item in values.items()))


def moo_file(path, cpu, code, before, after, exception=None, ram=None):
    """A file of one test: CODE from the state BEFORE to AFTER."""
    wide = cpu == b"386 "
    bytes_at = {CODE + i: b for i, b in enumerate(code)} | (ram or {})
    test = struct.pack("<I", 0) + chunk(b"NAME", sized(b"test")) + chunk(b"BYTS", sized(code))
    test += chunk(b"INIT", registers(BEFORE | before, wide) + memory(bytes_at) +
                  chunk(b"QUEU", sized(code)))
    test += chunk(b"FINA", registers(after, wide) + memory({}))
    if exception is not None:
        test += chunk(b"EXCP", struct.pack("<BI", exception, 0))
    test += chunk(b"CYCL", sized(bytes(15)))
    data = chunk(b"MOO ", struct.pack("<BBHI", 1, 0, 0, 1) + cpu) + chunk(b"META", bytes(8))
    path.write_bytes(gzip.compress(data + chunk(b"TEST", test)))
    return path


def moo(host, *args):
    result = host.run("tests/moo/moo", *args)
    assert result.stderr == ""
    assert result.returncode == (0 if result.stdout.endswith(" 0 failed\n") else 1)
    return result.stdout.splitlines()


def test_until_its_hlt(host, tmp_path):
    """INC AX and the HLT behind it."""
    file = moo_file(tmp_path / "40.MOO.gz", b"C286", b"\x40\xf4", {},
                    {"ax": 1, "ip": 0x102, "flags": 2})
    assert moo(host, "--cpu", "286", file) == ["1 passed, 0 failed"]


def test_one_instruction_of_an_8086(host, tmp_path):
    """Nothing stops it: the bytes behind are another INC AX."""
    file = moo_file(tmp_path / "40.MOO.gz", b"8086", b"\x40\x40", {"flags": 0xf002},
                    {"ax": 1, "ip": 0x101, "flags": 0xf002})
    assert moo(host, "--cpu", "8086", file) == ["1 passed, 0 failed"]


def test_32_bit_registers(host, tmp_path):
    """INC EAX, with what a 386's file has."""
    before = {**dict.fromkeys(REGS_386, 0), **BEFORE, "cr0": 0x10, "dr6": 0xffff0ff0,
              "dr7": 0x400, "ax": 0x7fffffff, "flags": 2}
    file = moo_file(tmp_path / "6640.MOO.gz", b"386 ", b"\x66\x40\xf4", before,
                    {"ax": 0x80000000, "ip": 0x103, "flags": 0x896})
    assert moo(host, "--cpu", "386", file) == ["1 passed, 0 failed"]


def test_difference_is_shown(host, tmp_path):
    file = moo_file(tmp_path / "40.MOO.gz", b"C286", b"\x40\xf4", {},
                    {"ax": 2, "ip": 0x102, "flags": 2})
    assert moo(host, "--cpu", "286", file) == ["40 #0 test: ax is 1, expected 2",
                                               "40: 0 passed, 1 failed", "0 passed, 1 failed"]


@pytest.mark.parametrize("ax", [1, 2])
def test_left_out_with_its_reason(host, tmp_path, ax):
    """LOCK before INC AX: a 286 takes it, a 386 and later refuse."""
    file = moo_file(tmp_path / "40.MOO.gz", b"C286", b"\xf0\x40\xf4", {},
                    {"ax": ax, "ip": 0x103, "flags": 2}, ram={0x18: 0, 0x1b: 0x50})
    reason, last = moo(host, file)
    assert reason.startswith("1 left out: ") and "SDM vol. 2A, LOCK" in reason
    assert last == "0 passed, 0 failed"
    assert moo(host, "--cpu", "286", file)[-1] == f"{2 - ax} passed, {ax - 1} failed"


def test_not_left_out_without_its_exception(host, tmp_path):
    """LOCK INC [BX] is good everywhere: what differs there counts."""
    file = moo_file(tmp_path / "FF.0.MOO.gz", b"C286", b"\xf0\xff\x07\xf4", {},
                    {"ax": 1, "ip": 0x104, "flags": 2})
    assert moo(host, file)[-1] == "0 passed, 1 failed"
