"""hyve86 boot: how runs end, scripts, disks."""

import json

import pytest

from conftest import GUEST_NOT_OK, GUEST_OK, GUESTS, refused

BOTH_ENGINES = True


def screen(host):
    """The screen that a run saved, without blank lines."""
    return [line.rstrip() for line in (host.folder / "screen.txt").read_text().splitlines()
            if line.strip()]


def test_debug_exit(host):
    result = host.boot(GUESTS / "debug-exit.img")
    assert (result.returncode, result.stdout, result.stderr) == (GUEST_OK, "", "")
    assert host.left() == []


def test_halt(host):
    assert host.boot(GUESTS / "halt.img").returncode == 2
    assert host.left() == ["last"]


def test_halt_with_script_steps_left(host):
    assert host.boot("--wait-for", "NEVER SHOWN", GUESTS / "halt.img").returncode == 4


@pytest.mark.real_processor
def test_triple_fault(host):
    result = host.boot(GUESTS / "triple.img")
    assert result.returncode == 3
    assert "triple fault" in result.stderr.lower()


def test_reset_ends_the_run_if_asked(host):
    assert host.boot("--no-reboot", GUESTS / "reset.img").returncode == 0


def test_timeout_dumps_the_registers(host):
    result = host.boot("--timeout", "0.3", GUESTS / "spin.img")
    assert result.returncode == 124
    assert "7c" in result.stderr and "rip" in result.stderr.lower()


def test_script(host):
    result = host.boot("--wait-for", "HELLO FROM REAL MODE", "--type", "aB",
                       "--wait-for", "KEY B SCAN 30", "--type", "\\n<F1>",
                       "--wait-for", "KEY . SCAN 3B", "--screenshot", "screen.txt",
                       GUESTS / "hello.img")
    assert (result.returncode, result.stderr) == (0, "")
    lines = screen(host)
    assert lines[-5:] == ["HELLO FROM REAL MODE", "KEY a SCAN 1E", "KEY B SCAN 30",
                          "KEY . SCAN 1C", "KEY . SCAN 3B"]


def test_typed_key_ends_the_guest(host):
    """A guest that ends by itself before the script does decides the status."""
    result = host.boot("--wait-for", "HELLO", "--type", "q", "--wait-for", "NEVER SHOWN",
                       GUESTS / "hello.img")
    assert result.returncode == GUEST_OK


def test_text_console_and_standard_input(host):
    result = host.run("hyve86", "boot", "--console", "text", "--debug-exit",
                      "0xf4", "--timeout", 30, GUESTS / "hello.img", stdin="q")
    assert result.returncode == GUEST_OK, result.stderr
    assert "HELLO FROM REAL MODE" in result.stdout
    assert "KEY q SCAN 10" in result.stdout


@pytest.mark.parametrize("drive", ["--floppy", "--disk"])
def test_read(host, drive):
    image = host.image("read", 1 << 20)
    result = host.boot("--serial", "none", drive, image, "--console", "text")
    assert result.returncode == GUEST_OK, result.stderr
    assert "TEXT OF SECTOR 1" in result.stdout
    assert ("TEXT OF SECTOR 2" in result.stdout) == (drive == "--disk")


@pytest.mark.parametrize("drive", ["--floppy", "--disk"])
def test_write(host, drive):
    image = host.image("write", 1 << 20)
    before = image.read_bytes()
    result = host.boot("--console", "text", drive, image)
    assert result.returncode == GUEST_OK, result.stdout
    after = image.read_bytes()
    assert after[512:1024] == before[:512]
    assert after[:512] == before[:512] and after[1024:] == before[1024:]


@pytest.mark.parametrize("drive", ["--floppy", "--disk"])
def test_ephemeral_writes_go_to_memory(host, drive):
    image = host.image("write", 1 << 20)
    before = image.read_bytes()
    assert host.boot("--ephemeral", drive, image).returncode == GUEST_OK
    assert image.read_bytes() == before


@pytest.mark.parametrize("drive", ["--floppy", "--disk"])
def test_read_only_image_gives_the_guest_an_error(host, drive):
    image = host.image("write", 1 << 20)
    before = image.read_bytes()
    result = host.boot("--console", "text", drive, f"{image},ro")
    assert result.returncode == GUEST_NOT_OK
    assert "WRITE ERROR 03" in result.stdout
    assert image.read_bytes() == before


def test_read_past_the_end_of_a_short_floppy(host):
    result = host.boot("--console", "text", GUESTS / "past-end.img")
    assert result.returncode == GUEST_NOT_OK
    assert "READ ERROR 04" in result.stdout


def test_boot_order(host):
    """--boot c passes the floppy by, --boot a does not."""
    drives = ["--floppy", GUESTS / "debug-exit.img", "--disk", host.image("halt", 1 << 20)]
    assert host.boot("--boot", "a", *drives).returncode == GUEST_OK
    assert host.boot("--boot", "c", *drives).returncode == 2


def test_guest_time_by_instruction_count_is_the_same_twice(host):
    """The dump of a run that fails at a fixed count tells registers and the number of instructions."""
    runs = [host.boot("--name", "same", "--clock", "icount", GUESTS / "triple.img")
            for _ in range(2)]
    assert [run.returncode for run in runs] == [3, 3]
    assert runs[0].stderr == runs[1].stderr and "instructions" in runs[0].stderr


def test_halt_by_instruction_count(host):
    assert host.boot("--clock", "icount", GUESTS / "halt.img").returncode == 2


def test_memory_use(host):
    """The process needs less than 10 MiB more than what the guest touched (1 MiB and 64 KiB)."""
    guest = host.start("hyve86", "boot", "--console", "text", "--timeout", 30,
                       GUESTS / "touch.img")
    shown = ""
    while "TOUCHED" not in shown:
        character = guest.stdout.read(1)
        assert character, guest.stderr.read()
        shown += character
    with open(f"/proc/{guest.pid}/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < (10 + 1) * 1024 + 64


@pytest.mark.parametrize("name", ["fpu-error", "resume", *(
    pytest.param(name, marks=pytest.mark.real_processor)
    for name in ("protected", "debug", "v86", "long", "lapic"))])
def test_self_checking_guest(host, name):
    """Every step of tests/guest/NAME.S; port E9h, on standard error, tells which one failed."""
    result = host.boot(GUESTS / f"{name}.img")
    assert (result.returncode, result.stderr) == (GUEST_OK, "")


def test_multiboot_kernel(host):
    """Its module and command line reach it; the BIOS has done its work before."""
    module = host.folder / "module"
    module.write_text("MODULE ")
    kernel = GUESTS / "multiboot.img"
    result = host.boot("--kernel", kernel, "--initrd", module, "--append", "a=b")
    assert (result.returncode, result.stderr) == (GUEST_OK, f"MODULE {kernel} a=b")


def test_neither_linux_nor_multiboot(host):
    refused(host.boot("--kernel", GUESTS / "hello.img"), "multiboot")


def test_icount_runs_are_identical(host):
    """Registers, memory, chips and the number of instructions, with script steps in between."""
    def run():
        result = host.boot("--clock", "icount", "-m", "1", "--stats", "stats.json",
                           "--wait-for", "READY", "--type", "ab\\ncq", "--wait-for", "NEVER SHOWN",
                           GUESTS / "clocked.img")
        assert result.returncode == 4, result.stderr
        stats = json.loads((host.folder / "stats.json").read_text())
        files = {file.name: file.read_bytes() for file in (host.vms / "last").iterdir()}
        host.run("hyve86", "destroy", "last")
        return stats["instructions"], stats["guest_ns"], files

    assert run() == run()
