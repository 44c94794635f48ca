"""The GDB stub, driven by GDB itself and, for what GDB never sends, by hand."""

import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import GUESTS

BOTH_ENGINES = True


class Session:
    """A guest that waits for GDB, and a way to run GDB's commands on it."""

    def __init__(self, host, image, *args):
        self.host = host
        self.guest = host.start("hyve86", "boot", "--console", "none", "--timeout", "60", "--gdb", "0",
                                *args, GUESTS / f"{image}.img")
        line = self.guest.stderr.readline()
        self.port = int(re.search(r"target remote :(\d+)", line).group(1))

    def command(self, *commands):
        """The command line of a GDB that runs COMMANDS."""
        before = ("set pagination off", "set confirm off", "set tcp connect-timeout 10",
                  f"target remote 127.0.0.1:{self.port}")
        line = ["gdb", "-nx", "-q", "-batch"]
        for command in (*before, *commands):
            line += ["-ex", command]
        return line

    def gdb(self, *commands):
        """What GDB printed for COMMANDS."""
        run = subprocess.run(self.command(*commands), stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=60, check=False)
        return run.stdout + run.stderr

    def connect(self):
        """A connection without GDB."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


def offset(image, code):
    """Where in memory the first bytes like CODE of a boot sector are."""
    data = (GUESTS / f"{image}.img").read_bytes()
    return 0x7C00 + re.search(code, data, re.DOTALL).start()


def packet(text):
    return f"${text}#{sum(text.encode()) & 0xff:02x}".encode()


def read_packet(sock):
    data = b""
    while not re.search(rb"\$[^#]*#..", data):
        part = sock.recv(4096)
        assert part, data
        data += part
    return re.search(rb"\$([^#]*)#..", data).group(1).decode()


@pytest.mark.real_processor
def test_real_mode(host):
    """Break, step, step over a BIOS call, watch a word of memory, go on."""
    call = offset("debugged", rb"\xcd\x10\xeb")
    said = Session(host, "debugged").gdb(
        "info registers eip", f"break *{call:#x}", "continue", "info registers eip eax",
        "stepi", "printf \"behind the call %x\\n\", $eip", "delete", "watch *(unsigned short *)0x600",
        "continue", "continue", "print *(unsigned short *)0x600", "x/i $pc", "detach")
    assert re.search(r"eip +0xffff0", said), said
    assert re.search(rf"eip +{call:#x}", said), said
    assert re.search(r"eax +0xe2e", said), said
    assert f"behind the call {call + 2:x}" in said
    assert said.count("New value = ") == 2, said
    assert re.search(r"\$1 = [34]$", said, re.MULTILINE), said
    assert "mov    $0xe2e,%ax" in said, said


def test_registers_and_memory_can_be_set(host):
    said = Session(host, "debugged").gdb(
        "break *0x7c00", "continue", "set $eax = 0x12345678", "set $eflags = 0x3",
        "set {int}0x5000 = 0x11223344", "print/x $eax", "print/x {int}0x5000", "print/x $eflags",
        "set $st0 = 1.5", "print $st0", "set $xmm1.v4_int32[2] = 7", "print $xmm1.v4_int32", "kill")
    assert "$1 = 0x12345678" in said and "$2 = 0x11223344" in said
    assert "$4 = 1.5" in said and "{0, 0, 7, 0}" in said, said


def test_monitor(host):
    said = Session(host, "debugged").gdb(
        "break *0x7c00", "continue", "monitor info registers", "monitor bios", "monitor explain",
        "monitor info mem", "monitor help", "monitor nonsense", "kill")
    assert "0000:7c00 (linear 7c00h), real mode" in said
    assert "INT 19h" in said
    assert "no paging" in said
    assert "the last BIOS calls" in said and "no such command" in said


def test_interrupt(host):
    """Ctrl-C stops a guest that runs, and it goes on afterwards."""
    session = Session(host, "debugged")
    gdb = subprocess.Popen(session.command("continue", "print 40 + 2", "x/2i $pc", "detach"),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
    time.sleep(1)
    gdb.send_signal(signal.SIGINT)
    said, _ = gdb.communicate(timeout=30)
    assert "SIGINT" in said and "$1 = 42" in said, said
    assert session.guest.poll() is None


@pytest.mark.real_processor
def test_64_bit(host):
    """A GDB that comes when the guest is in 64-bit mode gets 64-bit registers."""
    session = Session(host, "spin64")
    session.gdb("detach")
    time.sleep(0.3)
    said = session.gdb("info registers rip rax cr0", "x/i $pc", "watch *(int *)0x600", "continue",
                       "stepi", "print/x $rax", "monitor info mem", "kill")
    assert re.search(r"rax +0x123456789abcdef0", said), said
    assert re.search(r"cr0 +0x80000011", said), said
    assert "New value = " in said, said
    assert "00000000-001fffff -> 00000000" in said, said


def test_protected_mode(host):
    """The first instruction of 32-bit code, reached by a breakpoint from real mode."""
    jump = offset("protected", rb"\xea..\x08\x00")  # LJMP CODE, start32, right before it
    target = jump + 5
    said = Session(host, "protected", "--debug-exit", "0xf4").gdb(
        f"break *{target:#x}", "continue", "monitor info registers", "stepi", "set architecture i386",
        "x/i $pc", "kill")
    assert f"(linear {target:x}h), 32-bit protected mode, privilege 0" in said, said
    assert "mov    %eax,%ds" in said, said


def test_end_of_the_guest(host):
    session = Session(host, "debug-exit", "--debug-exit", "0xf4")
    said = session.gdb("continue")
    assert "exited normally" in said, said
    assert session.guest.wait(20) == 33


def test_breaks_leave_memory_alone(host):
    said = Session(host, "debugged").gdb("break *0x7c00", "continue", "x/xb 0x7c00", "kill")
    assert re.search(r"0x7c00:\s+0xfc", said), said


@pytest.mark.parametrize("bad", [b"$g#00", b"$" + b"x" * 70000, b"\x03\x03\x03", b"$m0,ffffffff#2a",
                                 packet("m"), packet("Z9,1,1"), packet("P999=00"), packet("M0,4:zz"),
                                 packet("qRcmd,zz"), packet("vCont;x"), packet("G12"), packet("")])
def test_bad_packets(host, bad):
    """Whatever comes, the guest is there for the next GDB."""
    session = Session(host, "debugged")
    with session.connect() as sock:
        sock.sendall(bad)
        time.sleep(0.1)
    said = session.gdb("info registers eip", "kill")
    assert "eip" in said


def test_client_that_does_not_read(host):
    """Answers that nobody takes hold nobody up: the run can be ended."""
    session = Session(host, "debugged")
    with session.connect() as sock:
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                sock.sendall(packet("m0,1ff0") * 1000)
        session.guest.terminate()
        assert session.guest.wait(20) == 143


def test_mapped_memory(host):
    """info mem finds a page alone in its 4 MB. The guest's tables are made by GDB's packets."""
    def ask(sock, text):
        sock.sendall(b"+" + packet(text))
        return read_packet(sock)

    session = Session(host, "debugged")
    with session.connect() as sock:
        assert ask(sock, "M10000,4:03100100") == "OK"  # page directory: its first table
        assert ask(sock, "M11014,4:03700000") == "OK"  # 5000h leads to 7000h
        assert ask(sock, "P2b=0000010000000000") == "OK"  # CR3
        assert ask(sock, "P29=1100008000000000") == "OK"  # CR0: PG, PE
        said = ask(sock, "qRcmd," + b"info mem".hex())
        assert bytes.fromhex(said[1:]) == b"00005000-00005fff -> 00007000\n"


def test_second_client_is_turned_away(host):
    session = Session(host, "debugged")
    with session.connect() as first:
        first.sendall(packet("?"))
        assert read_packet(first).startswith("T05")
        first.sendall(b"+" + packet("c"))
        with session.connect() as second:
            assert second.recv(100) == b""
        first.sendall(b"\x03")
        assert read_packet(first).startswith("T02")


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999999", "256.1.1.1:1", ""])
def test_bad_address(host, address):
    run = host.run("hyve86", "boot", "--console", "none", "--gdb", address, GUESTS / "halt.img")
    assert run.returncode == 4
    assert run.stderr.count("\n") == 1 and f"--gdb {address}" in run.stderr


def test_gdb_for_a_vm_that_runs(host):
    """hyve86 gdb VM opens the door; while GDB holds the guest, the control socket answers."""
    guest = host.start("hyve86", "boot", "--name", "live", "--console", "none", GUESTS / "debugged.img")
    host.wait_running("live")
    told = host.run("hyve86", "gdb", "live")
    assert (told.returncode, told.stderr) == (0, "")
    session = Session.__new__(Session)
    session.port = int(re.fullmatch(r"target remote :(\d+)\n", told.stdout).group(1))
    assert host.run("hyve86", "gdb", "live").stdout == told.stdout
    gdb = subprocess.Popen(session.command("shell touch held; sleep 1", "print *(short *)0x600", "detach"),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=host.folder)
    while not (host.folder / "held").exists():
        time.sleep(0.02)
    assert host.run("hyve86", "screen", "live").returncode == 0
    assert "$1 = " in gdb.communicate(timeout=30)[0]
    assert guest.poll() is None
    assert host.run("hyve86", "quit", "live").returncode == 0
    guest.wait(20)


@pytest.mark.parametrize("args, why", [((), "usage"), (("nobody",), "nobody"), (("-x",), "usage")])
def test_bad_gdb_command(host, args, why):
    told = host.run("hyve86", "gdb", *args)
    assert told.returncode == 4 and told.stderr.count("\n") == 1 and why in told.stderr


def test_while_it_waits_for_gdb(host):
    """The VM is there for others, and the time-out and signals count."""
    session = Session(host, "debugged", "--name", "waits")
    assert "waits" in host.run("hyve86", "list").stdout
    assert host.run("hyve86", "screen", "waits").returncode == 0
    session.guest.send_signal(signal.SIGTERM)
    assert session.guest.wait(10) == 128 + signal.SIGTERM
    late = host.run("hyve86", "boot", "--console", "none", "--gdb", "0", "--timeout", "0.3",
                    GUESTS / "halt.img")
    assert late.returncode == 124


def test_time_out_before_gdb_came(host):
    """Nothing ran yet: nobody has filled the vector table, so nobody has overwritten it."""
    run = host.run("hyve86", "boot", "--console", "none", "--gdb", "0", "--timeout", "0.2",
                   GUESTS / "hello.img")
    assert run.returncode == 124
    assert "vector table" not in run.stderr
