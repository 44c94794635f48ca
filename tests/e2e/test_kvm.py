"""The KVM engine where there is /dev/kvm, and the choice of an engine everywhere."""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile

import pytest

from conftest import BUILD, GUEST_OK, GUESTS, kvm_skip, refused, wait_until

VMCALL = bytes.fromhex("0f01c1")


@pytest.fixture
def kvm(request, host):
    problem = kvm_skip(request.node)
    if problem is not None:
        pytest.skip(problem)
    host.engine = "kvm"
    return host


def often(host, calls, ports):
    """The statistics of a guest that makes so many BIOS calls and port writes."""
    image = host.image("often")
    data = image.read_bytes()
    at = data.index(b"OFTEN") + 5
    image.write_bytes(data[:at] + struct.pack("<HH", calls, ports) + data[at + 4:])
    result = host.boot("--stats", "stats.json", image)
    assert result.returncode == GUEST_OK, result.stderr
    return json.loads((host.folder / "stats.json").read_text())


def test_a_bios_call_is_one_exit(kvm):
    """Without an ioctl for registers beyond those that begin and end a run."""
    few, many = often(kvm, 1, 0), often(kvm, 1001, 0)
    assert many["bios_services"]["int 12h memory_size"] == \
        few["bios_services"]["int 12h memory_size"] + 1000
    few, many = few["engine"], many["engine"]
    assert many["ports"] - few["ports"] == 1000
    assert many["state_calls"] == few["state_calls"]
    # Beside them only time slices end: interrupts are off.
    assert many["entries"] - many["signals"] - few["entries"] + few["signals"] == 1000


def test_a_port_access_is_one_exit(kvm):
    few, many = (often(kvm, 0, n)["engine"] for n in (1, 1001))
    assert many["ports"] - few["ports"] == 1000
    assert many["state_calls"] == few["state_calls"]
    assert many["entries"] - many["signals"] - few["entries"] + few["signals"] == 1000


def test_vmcall_has_no_way_out_of_kvm(host):
    """The seed's session: KVM's limit is told in one line; auto takes the built-in CPU."""
    folder = host.pseudobios(VMCALL + b"\xcf")
    assert host.run("bhyvebiosload", "-m", 16, "-h", folder, "vm0").returncode == 0
    host.engine = "kvm"
    refused(host.run("bhyve", "-b", "vm0"), "vmcall", "--engine soft")
    host.engine = "auto"
    assert "exit_reason\t18" in host.run("bhyve", "-b", "vm0").stdout


@pytest.mark.parametrize("option", [("--cpu", "286"), ("--clock", "icount")])
def test_what_kvm_cannot_do(host, option):
    refused(host.run("hyve86", "boot", "--engine", "kvm", *option, GUESTS / "hello.img"),
            option[0], "--engine soft")


def test_unknown_engine(host):
    refused(host.run("hyve86", "boot", "--engine", "fast", GUESTS / "hello.img"), "fast", "soft")
    refused(host.run("bhyve", "--engine", "fast", "vm0"), "fast", "soft")


def test_auto_tells_its_choice(host):
    """The first run measures, the second one remembers."""
    host.engine = "auto"
    lines = []
    for _ in range(2):
        result = host.boot("-v", GUESTS / "debug-exit.img")
        assert result.returncode == GUEST_OK
        lines.append(result.stderr)
        assert len(result.stderr.splitlines()) == 1
        assert re.search(r"engine (soft|kvm): |built-in CPU", result.stderr), result.stderr
    assert lines[0] == lines[1]


def test_auto_measures_again_after_a_damaged_note(host):
    host.engine = "auto"
    host.vms.mkdir()
    (host.vms / ".engine").write_bytes(b"\0\xff 9 9")
    assert host.boot("-v", GUESTS / "debug-exit.img").returncode == GUEST_OK
    assert host.run("hyve86", "list").returncode == 0


@pytest.fixture
def nobody():
    """Runs the programs as a user who may not open /dev/kvm, in a folder of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    if not os.path.exists("/dev/kvm"):
        pytest.skip("there is no /dev/kvm")
    if os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("/dev/kvm is open to everybody")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o777)
        shutil.copy(GUESTS / "debug-exit.img", folder)

        def run(program, *args):
            if not (folder / program).exists():
                shutil.copy(BUILD / program, folder)
            return subprocess.run(
                [folder / program, *args], cwd=folder, user=65534, group=65534, extra_groups=[],
                env={**os.environ, "HYVE86_DIR": str(folder / "vms")}, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=60, check=False)

        yield run


BOOT = ("boot", "--console", "none", "--debug-exit", "0xf4", "--timeout", "30")


def test_without_permission(nobody):
    """One line says what to do, and the built-in CPU runs the guest."""
    result = nobody("hyve86", *BOOT, "--ephemeral", "debug-exit.img")
    assert result.returncode == GUEST_OK, result.stderr
    line, = result.stderr.splitlines()
    assert "/dev/kvm" in line and "group" in line and "built-in CPU" in line


def test_without_permission_for_what_was_asked(nobody):
    """Who asked for KVM is refused in one line; the VM stays as it was."""
    refused(nobody("hyve86", *BOOT, "--engine", "kvm", "debug-exit.img"),
            "/dev/kvm", "permission", "group", "--engine soft")
    assert nobody("bhyvebiosload", "-m", "16", "-d", "debug-exit.img", "vm0").returncode == 0
    refused(nobody("bhyve", "--engine", "kvm", "-b", "vm0"),
            "/dev/kvm", "permission", "group", "--engine soft")
    assert nobody("vmmctl", "--vm=vm0", "--get-rip").returncode == 0
    assert nobody("bhyvectl", "--vm=vm0", "--destroy").returncode == 0
    assert nobody("vmmctl", "--vm=vm0", "--get-rip").returncode == 4


def text_screen(host, name):
    return host.run("hyve86", "screen", name).stdout


@pytest.mark.parametrize("first, second", [("soft", "kvm"), ("kvm", "soft")])
@pytest.mark.parametrize("guest", ["hello", "moves"])
def test_a_stopped_vm_goes_on_on_the_other_engine(kvm, first, second, guest):
    """It counts in memory, in real or in protected mode, with the timer's interrupts."""
    image = kvm.image(guest, 1 << 20)
    assert kvm.run("bhyvebiosload", "-m", 16, "-d", image, "vm0").returncode == 0
    for engine in (first, second, first):
        kvm.engine = engine
        runner = kvm.start("bhyve", "-b", "vm0")
        wait_until(lambda: "HELLO" in text_screen(kvm, "vm0") or "MOVES" in text_screen(kvm, "vm0"))
        if guest == "hello":
            assert kvm.run("hyve86", "type", "vm0", "a").returncode == 0
            wait_until(lambda: "KEY a" in text_screen(kvm, "vm0"))
        else:
            before = counter(kvm)
            wait_until(lambda: counter(kvm) > before + 3)
        runner.send_signal(signal.SIGTERM)
        _, errors = runner.communicate(timeout=20)
        assert runner.returncode == 4 and "can go on" in errors, errors


def counter(host):
    """The last number on the screen of moves.S."""
    numbers = re.findall(r"MOVES (\d+)", text_screen(host, "vm0"))
    return int(numbers[-1]) if numbers else -1
