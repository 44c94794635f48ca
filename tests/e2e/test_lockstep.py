"""hyve86 lockstep: a guest on two engines that are the same, so that nothing may differ."""

import signal
import time

import pytest

from conftest import GUEST_OK, GUESTS, kvm_emulates, kvm_problem, refused

SAME = "no difference between soft and soft in "


def lockstep(host, *args, **kwargs):
    return host.run("hyve86", "lockstep", "--engines", "soft,soft", "--console", "none",
                    "--debug-exit", "0xf4", "--timeout", "30", *args, **kwargs)


@pytest.mark.parametrize("name", ["debug-exit", "calls", "read", "resume", "protected", "debug", "v86",
                                  "long", "lapic", "fpu-error"])
def test_no_difference(host, name):
    """Ports, BIOS calls, a 286's way back to real mode, all modes, MSRs, memory-mapped registers."""
    result = lockstep(host, GUESTS / f"{name}.img")
    assert result.returncode == GUEST_OK, result.stderr
    assert SAME in result.stderr
    assert "not compared" not in result.stderr
    assert host.left() == []


@pytest.mark.parametrize("name", ["debug-exit", "calls", "read", "write", "resume", "lapic"])
def test_no_difference_to_kvm(host, name):
    """What the KVM of any machine can do."""
    if kvm_problem() is not None:
        pytest.skip(kvm_problem())
    result = host.run("hyve86", "lockstep", "--console", "none", "--debug-exit", "0xf4", "--ephemeral",
                      "--timeout", "40", GUESTS / f"{name}.img")
    assert result.returncode == GUEST_OK, result.stderr
    assert "no difference between soft and kvm in " in result.stderr


def test_a_difference(host):
    """A KVM that emulates real mode ignores the limit of the interrupt table, and INT3 does not fail."""
    if kvm_problem() is not None:
        pytest.skip(kvm_problem())
    if not kvm_emulates():
        pytest.skip("this machine's KVM is as the built-in CPU")
    result = host.run("hyve86", "lockstep", "--console", "none", "--debug-exit", "0xf4", "--timeout", "40",
                      GUESTS / "triple.img")
    assert result.returncode == 5, result.stderr
    assert "soft and kvm differ after " in result.stderr
    lines = result.stderr.splitlines()
    behind = next(i for i, line in enumerate(lines) if line.startswith("they differ behind the last one"))
    assert lines[behind - 1].split()[-1] == "int3"
    assert host.left() == []


@pytest.mark.parametrize("name, status", [("halt", 2), ("triple", 3)])
def test_ends_as_boot_does(host, name, status):
    result = lockstep(host, GUESTS / f"{name}.img")
    assert result.returncode == status, result.stderr
    assert SAME in result.stderr


def test_a_reset(host):
    """Both begin again, and the second time ends otherwise by what CMOS keeps."""
    result = lockstep(host, "--no-reboot", GUESTS / "reset.img")
    assert result.returncode == 0, result.stderr
    assert SAME in result.stderr


def test_script(host):
    """Keys, interrupts, disk writes; what is told by time and chance is the same for both."""
    image = host.image("clocked")
    result = lockstep(host, "--wait-for", "READY", "--type", "abq", image)
    assert result.returncode == 0, result.stderr
    assert SAME in result.stderr
    result = lockstep(host, "--wait-for", "HELLO FROM REAL MODE", "--type", "aB", "--wait-for",
                      "KEY B SCAN 30", "--screenshot", "screen.txt", GUESTS / "hello.img")
    assert result.returncode == 0, result.stderr
    assert SAME in result.stderr
    assert "KEY a SCAN 1E" in (host.folder / "screen.txt").read_text()


def test_planes_of_the_vga(host):
    """Glyphs go through the window at A0000 to planes; text, which is there too, to memory."""
    result = lockstep(host, "--wait-for", "DONE", GUESTS / "fonts.img")
    assert result.returncode == 0, result.stderr
    assert SAME in result.stderr


def test_writes_reach_the_disk_once(host):
    """As under boot: what one boots with lockstep is a disk."""
    image, other = host.image("write", 1440 * 1024), host.folder / "other.img"
    other.write_bytes(image.read_bytes())
    assert lockstep(host, image).returncode == GUEST_OK
    assert host.boot(other).returncode == GUEST_OK
    assert image.read_bytes() == other.read_bytes()


def test_time_out(host):
    result = lockstep(host, "--timeout", "0.5", GUESTS / "spin.img")
    assert result.returncode == 124
    assert SAME in result.stderr


def test_interrupt(host):
    """Ctrl-C ends it, whatever the guest does."""
    guest = host.start("hyve86", "lockstep", "--engines", "soft,soft", "--name", "spins",
                       "--console", "none", GUESTS / "spin.img")
    host.wait_running("spins")
    time.sleep(0.2)
    guest.send_signal(signal.SIGINT)
    _, told = guest.communicate(timeout=10)
    assert guest.returncode == 128 + signal.SIGINT
    assert SAME in told


def test_instructions_one_by_one(host):
    """--trace insn runs each alone."""
    result = lockstep(host, "--trace", "insn:./trace.txt", GUESTS / "debug-exit.img")
    assert result.returncode == GUEST_OK, result.stderr
    assert SAME in result.stderr
    assert "0000:7C00" in (host.folder / "trace.txt").read_text()


@pytest.mark.parametrize("option", ["--gdb=0", "--clock=host", "--engine=soft", "-v"])
def test_options_of_boot_alone(host, option):
    refused(lockstep(host, option, GUESTS / "debug-exit.img"), option.split("=", maxsplit=1)[0])


def test_engines(host):
    refused(host.run("hyve86", "lockstep", "--engines", "kvm,kvm", GUESTS / "debug-exit.img"),
            "lockstep: --engines kvm,kvm", "soft,kvm")
    refused(host.run("hyve86", "lockstep", "missing.img"), "lockstep: missing.img")
    refused(host.boot("--engines", "soft,soft", GUESTS / "debug-exit.img"), "--engines")
    assert "--engines" in host.run("hyve86", "lockstep", "--help").stdout
    assert "--engines" not in host.run("hyve86", "boot", "--help").stdout
