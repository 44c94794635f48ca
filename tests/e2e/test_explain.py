"""hyve86 explain: the seed's dumps, its live VM, and the guests that die."""

import re
import subprocess

import pytest

from conftest import BUILD, DATA, GUESTS, TOP

BOTH_ENGINES = True

DEATHS = sorted((TOP / "tests" / "guest" / "deaths").glob("*.S"))
CHAIN = [
    "#GP: of CS only offset 0h lies within the limit (CS.limit is 0h)",
    "vector 13 (0dh) needs bytes 34h to 37h of the interrupt vector table at 0h, IDTR.limit is 0h",
    "which makes it a double fault, #DF",
    "vector 8 (08h) needs bytes 20h to 23h of the interrupt vector table at 0h, IDTR.limit is 0h",
    "shutdown, the triple fault (VMX exit reason 2)",
    "cs: limit 0h, access 209bh; real mode needs ffffh and 9bh",
    "access 209bh carries the L bit of 64-bit code, a long-mode leftover",
]


def in_order(text, parts):
    at = 0
    for part in parts:
        assert part in text[at:], part
        at = text.index(part, at) + len(part)


def test_seed_dump_after_load(host):
    """VM entry would fail; with unrestricted guest on, a triple fault."""
    told = host.run("hyve86", "explain", DATA / "dump-after-load.txt")
    assert (told.returncode, told.stderr) == (0, "")
    in_order(told.stdout, ["VM entry fails as it stands", "CR0.PE=0 needs unrestricted guest",
                           "unrestricted guest is off", "bhyve -b sets it", *CHAIN])


def test_seed_dump_after_run(host):
    told = host.run("hyve86", "explain", DATA / "dump-after-run.txt")
    assert (told.returncode, told.stderr) == (0, "")
    assert "VM entry" not in told.stdout
    in_order(told.stdout, ["triple fault at 0000:0000", "the bytes at RIP are not in a dump", *CHAIN])


def test_dump_from_standard_input(host):
    text = (DATA / "dump-after-run.txt").read_text(encoding="ascii")
    told = host.run("hyve86", "explain", "-", stdin=text)
    in_order(told.stdout, ["standard input: triple fault", *CHAIN])


def test_dump_of_qemu(host):
    """QEMU's info registers at reset: nothing is wrong, and the memory is not there."""
    told = host.run("hyve86", "explain", DATA / "info-registers.txt")
    assert (told.returncode, told.stderr) == (0, "")
    assert "f000:fff0 (linear fffffff0h), real mode" in told.stdout
    assert "cannot be told without memory" in told.stdout


def changed_dump(**changes):
    """QEMU's info registers at reset, with other words: EIP="...", CS="selector base limit"."""
    text = (DATA / "info-registers.txt").read_text(encoding="ascii")
    for name, value in changes.items():
        text, found = re.subn(rf"^{name} ?=[0-9a-f]+( [0-9a-f]{{8}} [0-9a-f]{{8}})?",
                              f"{name} ={value}", text, flags=re.MULTILINE)
        assert found == 1
    return text


def test_dump_with_carriage_returns(host):
    """From a serial line, or another system's editor: the last word of a line counts, too."""
    text = changed_dump(CS="0000 00000000 00000000")
    told = host.run("hyve86", "explain", "-", stdin=text)
    again = host.run("hyve86", "explain", "-", stdin=text.replace("\n", "\r\n"))
    assert (again.returncode, again.stdout) == (0, told.stdout)


@pytest.mark.parametrize("changes, verdict", [
    # The end of the first 4 GB, where memory of a dump is not made up.
    ({"EIP": "0000fff8"}, "cannot be told without memory"),
    # Nothing can be fetched there, so nothing else need be known.
    ({"EIP": "0000fff8", "CS": "f000 ffff0000 00000010"}, "RIP fff8h lies beyond CS.limit 10h"),
    # An instruction across two pages.
    ({"EIP": "00000000", "CS": "0000 00000ffc 00000009"},
     "if CS.limit cuts it off, raises an exception, which may have a handler:\n"
     "  1. #GP: of CS only 10 bytes from RIP on lie within the limit"),
])
def test_dump_with_a_short_code_segment(host, changes, verdict):
    told = host.run("hyve86", "explain", "-", stdin=changed_dump(**changes))
    assert (told.returncode, told.stderr) == (0, "")
    assert verdict in told.stdout


@pytest.mark.soft_only("KVM answers VMCALL in the kernel")
def test_seed_values_in_a_live_vm(host):
    """The same values in a VM, where the bytes are known."""
    folder = host.pseudobios(b"\x0f\x01\xc1")
    assert host.run("bhyvebiosload", "-m", "128", "-M", "256", "-h", folder, "vm0").returncode == 0
    for name, access in (("cs", "0x209b"), *((seg, "0x93") for seg in ("ds", "es", "fs", "gs", "ss"))):
        host.run("vmmctl", "--vm=vm0", f"--set-desc-{name}", "--desc-base=0", "--desc-limit=0",
                 f"--desc-access={access}")
    host.run("vmmctl", "--vm=vm0", "--set-desc-idtr", "--desc-base=0", "--desc-limit=0")
    assert host.run("bhyve", "-m", "128", "-M", "256", "-b", "vm0").returncode == 3
    told = host.run("hyve86", "explain", "vm0")
    assert (told.returncode, told.stderr) == (0, "")
    in_order(told.stdout, ["vm0: triple fault at 0000:0000", "0f 01 c1", "vmcall", CHAIN[0],
                           "the instruction (vmcall) has 3 bytes", *CHAIN[1:]])
    mends = re.findall(r"^ +vmmctl (--vm=vm0 .*)$", told.stdout, re.MULTILINE)
    assert len(mends) == 7
    for mend in mends:
        assert host.run("vmmctl", *mend.split()).returncode == 0
    shown = host.run("vmmctl", "--vm=vm0", "--get-desc-cs").stdout.split()
    assert shown[-1] == "0x0000000000000000/0x0000ffff/0x0000009b"


def test_vmcall_without_a_board(host):
    """bhyve's VMCALL leaves the guest; nobody overwrote vectors that no BIOS ever made."""
    folder = host.pseudobios(b"\x0f\x01\xc1")
    assert host.run("bhyvebiosload", "-m", "128", "-M", "256", "-h", folder, "vm0").returncode == 0
    told = host.run("hyve86", "explain", "vm0")
    assert (told.returncode, told.stderr) == (0, "")
    assert "VMCALL leaves the guest (VMX exit reason 18)" in told.stdout
    assert "#UD" not in told.stdout and "vector table" not in told.stdout


@pytest.mark.real_processor
@pytest.mark.parametrize("source", DEATHS, ids=[file.stem for file in DEATHS])
def test_death(host, source):
    """Each guest dies as it was made to, and the verdict names the cause."""
    text = source.read_text(encoding="ascii")
    verdict = re.search(r"^# verdict: (.*)$", text, re.MULTILINE).group(1)
    ends = re.search(r"^# ends: (\d+)$", text, re.MULTILINE)
    run = host.run("hyve86", "boot", "-m", "4", "--console", "none", "--timeout", "0.5",
                   GUESTS / "deaths" / f"{source.stem}.img")
    assert run.returncode == (int(ends.group(1)) if ends else 3)
    assert verdict in run.stderr
    told = host.run("hyve86", "explain")
    assert (told.returncode, told.stderr) == (0, "")
    assert verdict in told.stdout


def test_page_is_current():
    """docs/ways-to-die.md is what tools/ways-to-die writes."""
    assert len(DEATHS) >= 30
    subprocess.run([TOP / "tools" / "ways-to-die", "--build", BUILD, "--check"], check=True)


def test_running_in_circles(host):
    run = host.run("hyve86", "boot", "--console", "none", "--timeout", "0.2", GUESTS / "spin.img")
    assert run.returncode == 124
    assert "it runs in circles: 1 instruction" in run.stderr
    assert "hyve86 explain tells more" in run.stderr


@pytest.mark.parametrize("what, why", [
    ("nobody", "there is no VM and no file of that name"),
    ("./nobody", "No such file or directory"),
    ("/dev/null", "no register dump"),
    (DATA, ""),
])
def test_bad_input(host, what, why):
    told = host.run("hyve86", "explain", what)
    assert told.returncode == 4
    assert told.stdout == "" and told.stderr.count("\n") == 1
    assert why in told.stderr


def test_vm_that_runs(host):
    """Its runner looks, between two stretches of guest code."""
    host.start("hyve86", "boot", "--name", "live", "--console", "none", GUESTS / "debugged.img")
    host.wait_running("live")
    told = host.run("hyve86", "explain", "live")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("live: stopped at ") or told.stdout.startswith("live: ")
    assert "last BIOS calls:" in told.stdout
