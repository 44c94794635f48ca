"""hyve86 boot --trace: calls line by line, filters, counts, ports, exits, instructions."""

import json
import re
import signal
import time

import pytest

from conftest import GUEST_OK, GUESTS, refused, wait_until

BOTH_ENGINES = True

# What tests/guest/calls.S asks for, and what it gets.
CALLS = """\
INT 19h boot() goes to 0000:7C00
INT 10h AH=0Eh teletype('H')
INT 10h AH=0Eh teletype('i')
INT 10h AH=0Eh teletype('\\n')
INT 12h memory_size() = 639 KB
INT 13h AH=02h read(drive 00h, cylinder 0, head 0, sector 1, count 1, to 1000:0200) = ok
INT 13h AH=02h read(drive 00h, cylinder 96, head 0, sector 1, count 1, to 1000:0200) = error 04h (sector not found)
INT 13h AH=42h extended_read(drive 80h, lba 2048, count 3, to 2000:0000) = error 01h (no such function or parameter)
INT 13h AH=77h ?(al 00h, bx 0200h, cx 6001h, dx 0080h, es 1000h, ds 0000h) = nobody serves it: error 01h (no such function or parameter)
INT 13h AH=4Bh cd_emulation(al 00h, bx 0200h, cx 6001h, dx 0080h, es 1000h, ds 0000h) = not built: error 01h (no such function or parameter)
INT 15h AX=E820h memory_map(entry 0, to 1000:0300, 20 bytes) = 0h length 9FC00h, RAM, next entry 1
INT 16h AH=01h check() = no key
INT 15h AH=86h wait(5000 us) = ok <0.005000 s>
""".splitlines()


def traced(host, spec, image="calls", *args):
    """The lines of a trace, without the times before them."""
    result = host.boot("--clock", "icount", "--trace", f"{spec}:./trace.txt", *args,
                       GUESTS / f"{image}.img")
    assert (result.returncode, result.stderr) == (GUEST_OK, "")
    lines = (host.folder / "trace.txt").read_text().splitlines()
    assert all(re.match(r" *\d+\.\d{6} ", line) for line in lines), lines
    return [line.split(None, 1)[1] for line in lines]


def test_each_call_is_a_line(host):
    assert traced(host, "bios") == CALLS


def test_standard_error_is_the_default(host):
    result = host.boot("--trace", "bios:12h", GUESTS / "calls.img")
    assert result.returncode == GUEST_OK
    assert result.stderr.split(None, 1)[1] == "INT 12h memory_size() = 639 KB\n"


@pytest.mark.parametrize("spec, wanted", [
    ("bios:13h", ["INT 13h"]),
    ("bios:13", ["INT 13h"]),
    ("bios:0x13.2", ["INT 13h AH=02h"]),
    ("bios:13h.42h", ["INT 13h AH=42h"]),
    ("bios:12h:16h", ["INT 12h", "INT 16h"]),
    ("bios:1ah", []),
])
def test_filters_of_calls(host, spec, wanted):
    assert traced(host, spec) == [line for line in CALLS
                                  if any(line.startswith(one) for one in wanted)]


def test_folded(host):
    lines = traced(host, "bios:fold")
    assert lines[:3] == [CALLS[0], 'INT 10h text "Hi" (2 calls)', CALLS[3]]
    assert lines[3:] == CALLS[4:]


def test_counts_are_those_of_stats(host):
    result = host.boot("--trace", "bios:count:./counts.txt", "--stats", "stats.json",
                       GUESTS / "calls.img")
    assert result.returncode == GUEST_OK
    rows = [line.split(None, 2) for line in
            (host.folder / "counts.txt").read_text().splitlines()[1:]]
    stats = json.loads((host.folder / "stats.json").read_text())
    counts = {row[2]: int(row[0]) for row in rows[:-1]}
    assert counts == stats["bios_services"]
    assert counts["int 10h ah=0eh teletype"] == 3
    assert counts["int 13h ah=77h (not served)"] == 1
    assert rows[-1] == [str(sum(stats["bios_calls"].values())), "4", "in all"]
    assert len(CALLS) == sum(counts.values())


def test_ports(host):
    lines = traced(host, "io")
    assert "OUT 02F8h (nobody)  <- 78h 'x'" in lines
    assert "OUT 0070h mc146818  <- 0Fh" in lines
    assert "IN  0071h mc146818  -> 00h" in lines
    assert lines[-1] == "OUT 00F4h debugexit <- 10h"
    # The pseudo BIOS's own port is told about by bios.
    assert not any(" bios " in line for line in lines)


@pytest.mark.parametrize("spec, wanted", [
    ("io:2f7-2f8", ["OUT 02F8h (nobody)  <- 78h 'x'"]),
    ("io:f4", ["OUT 00F4h debugexit <- 10h"]),
    ("io:debugexit", ["OUT 00F4h debugexit <- 10h"]),
    ("io:debugexit:2f8", ["OUT 02F8h (nobody)  <- 78h 'x'", "OUT 00F4h debugexit <- 10h"]),
])
def test_filters_of_ports(host, spec, wanted):
    assert traced(host, spec) == wanted


def test_exits(host):
    lines = traced(host, "exit")
    assert re.fullmatch(r"EXIT hlt at 0000:7C[0-9A-F]{2}, VMX reason 12 \(HLT\)", lines[-2])
    assert re.fullmatch(r"EXIT stopped at 0000:7C[0-9A-F]{2}", lines[-1])
    assert traced(host, "exit:stopped") == lines[-1:]


def test_instructions(host):
    lines = traced(host, "insn:7c00-7c0f")
    assert [line.split()[0] for line in lines if "interrupted" not in line] == [
        "0000:7C00", "0000:7C01", "0000:7C03", "0000:7C05", "0000:7C07", "0000:7C09", "0000:7C0C"]
    assert any(re.fullmatch(r"0000:7C01 31c0 +xor ax, ax +rax=0( rflags=\w+)?", line)
               for line in lines)


def test_stepping_changes_nothing(host):
    """Guests that check themselves run alike when each of their instructions is looked at."""
    for guest in ("protected", "long", "v86", "debug"):
        assert traced(host, "insn:fffffff0", guest) == []


def test_kinds_go_together(host):
    lines = traced(host, "bios:16h,io:f4,exit:stopped")
    assert [line.split()[0] for line in lines] == ["INT", "OUT", "EXIT"]


def test_two_traces_of_counted_time_are_alike(host):
    assert traced(host, "bios,io") == traced(host, "bios,io")


def test_call_that_waits_at_the_end(host):
    result = host.run("hyve86", "boot", "--console", "none", "--timeout", "1", "--trace",
                      "bios:16h", GUESTS / "waits.img")
    assert result.returncode == 124
    assert "INT 16h AH=00h read() <unfinished: it waits>" in result.stderr


@pytest.mark.parametrize("spec, words", [
    ("bios:zz", ["bios:zz", "13h.42h"]),
    ("bios:1ff", ["bios:1ff"]),
    ("bios:13h.4.5", ["13h.4.5"]),
    ("io:5-3", ["io:5-3"]),
    ("io:10000", ["io:10000"]),
    ("io:nochip", ["no such chip"]),
    ("exit:soon", ["exit:soon", "hlt"]),
    ("insn:q", ["insn:q"]),
    ("calls", ["must be bios, io, exit or insn"]),
    ("", ["must be bios, io, exit or insn"]),
    ("/tmp/file", ["must begin with"]),
    ("bios:./no/such/file", ["./no/such/file", "No such file"]),
    ("bios:/", ["Is a directory"]),
])
def test_bad_specs(host, spec, words):
    refused(host.boot("--trace", spec, GUESTS / "calls.img"), *words)


def test_file_that_is_full(host):
    result = host.boot("--trace", "bios:/dev/full", GUESTS / "calls.img")
    refused(result, "--trace", "No space left")


# --- a VM that runs ---------------------------------------------------------------------------------


@pytest.fixture
def running(host):
    """The host, with a VM that polls the clock and the keyboard by the BIOS."""
    host.start("hyve86", "boot", "--name", "vm0", "--console", "none", GUESTS / "polls.img")
    wait_until(lambda: host.run("hyve86", "screen", "vm0").returncode == 0)
    return host


def follow(host, *args, seconds=0.5):
    """What hyve86 trace writes, ended by Ctrl-C."""
    process = host.start("hyve86", "trace", *args)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return out, err


def test_running_vm(running):
    out, _ = follow(running, "vm0")
    names = {line.split(None, 1)[1].split(" =")[0] for line in out.splitlines()}
    assert names == {"INT 16h AH=01h check()", "INT 1Ah AH=00h get_ticks()"}
    out, _ = follow(running, "vm0", "bios:fold")
    assert out.splitlines()[0].split(None, 1)[1].startswith("INT ")
    assert "asks again and again, and no key comes" in out


def test_running_vm_counted(running):
    out, err = follow(running, "-c", "vm0")
    lines = out.splitlines()
    assert err == "" and len(lines) == 4
    assert int(lines[-1].split()[0]) > 10


def test_running_vm_ends(running):
    process = running.start("hyve86", "trace", "vm0", "exit")
    time.sleep(0.3)
    assert running.run("hyve86", "quit", "vm0").returncode == 0
    assert process.wait(timeout=20) == 0


def test_one_trace_at_a_time(running):
    first = running.start("hyve86", "trace", "vm0", "exit")
    time.sleep(0.3)
    refused(running.run("hyve86", "trace", "vm0"), "traced already")
    first.kill()
    first.wait()
    time.sleep(0.3)
    assert follow(running, "vm0", "bios:16h")[0] != ""


def test_trace_and_reader_that_goes(running):
    """A client that dies leaves the VM running, untraced."""
    process = running.start("hyve86", "trace", "vm0", "insn")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=20) == 0
    assert follow(running, "vm0", "bios:16h")[0] != ""


@pytest.mark.parametrize("args, words", [
    (["vm0", "bios:zz"], ["bios:zz"]),
    (["vm0", "bios:/tmp/x"], ["it goes to no file"]),
    (["nobody"], ["nobody"]),
    ([], ["usage"]),
    (["-c"], ["usage"]),
    (["-x", "vm0"], ["usage"]),
    (["vm0", "bios", "more"], ["usage"]),
])
def test_bad_traces_of_running_vms(running, args, words):
    refused(running.run("hyve86", "trace", *args), *words)
