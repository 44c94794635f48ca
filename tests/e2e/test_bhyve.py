"""bhyve and bhyveload: options, and programs that need no board."""

import signal
import struct

import pytest

from conftest import refused

BOTH_ENGINES = True

HLT = bytes.fromhex("f4")


def load_raw(host, code):
    result = host.run("bhyvebiosload", "-m", 4, "-h", host.pseudobios(code), "vm0")
    assert result.returncode == 0, result.stderr


def load_kernel(host, content, *options):
    (host.folder / "kernel").write_bytes(content)
    return host.run("bhyveload", "-m", 4, "-h", host.folder, "-k", "kernel", *options, "vm0")


def get(host, name):
    """The value that vmmctl shows for NAME."""
    result = host.run("vmmctl", "--vm=vm0", f"--get-{name}")
    assert result.returncode == 0, result.stderr
    return int(result.stdout.split()[1], 16)


def one_line(result, *words):
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])


def test_halt(host):
    load_raw(host, HLT)
    result = host.run("bhyve", "-b", "vm0")
    assert result.returncode == 2
    one_line(result, "vm0", "halted")


def test_reset_by_the_keyboard_port(host):
    """mov al, 0FEh; out 64h, al"""
    load_raw(host, bytes.fromhex("b0 fe e6 64"))
    assert host.run("bhyve", "-b", "vm0").returncode == 0


def test_ports_that_nobody_answers(host):
    """in al, 60h; hlt"""
    load_raw(host, bytes.fromhex("e4 60 f4"))
    assert host.run("bhyve", "-b", "vm0").returncode == 2
    assert get(host, "rax") == 0xff
    load_raw(host, bytes.fromhex("e4 60 f4"))
    result = host.run("bhyve", "-b", "-e", "vm0")
    assert result.returncode == 4
    one_line(result, "Unhandled inb 0x0060")


@pytest.mark.soft_only("KVM does not count instructions")
def test_stopped_run_goes_on(host):
    """inc cx; jmp to the first instruction: two runs that are stopped, the second goes on."""
    load_raw(host, bytes.fromhex("41 eb fd"))
    counts = []
    for _ in range(2):
        runner = host.start("bhyve", "-b", "vm0")
        host.wait_running("vm0")
        runner.send_signal(signal.SIGTERM)
        _, errors = runner.communicate(timeout=20)
        assert runner.returncode == 4 and "can go on" in errors
        counts.append(int(host.run("vmmctl", "--vm=vm0", "--get-stats").stdout.split()[-1]))
    assert counts[1] > counts[0] > 0


def test_breakpoint_at_the_first_entry(host):
    """The vector of #BP leads to 10h: mov al, 3; hlt."""
    load_raw(host, HLT + bytes(11) + struct.pack("<HH", 0x10, 0) + bytes.fromhex("b0 03 f4"))
    assert host.run("bhyve", "-b", "-B", "vm0").returncode == 2
    assert get(host, "rax") & 0xff == 3


@pytest.mark.parametrize("option", ["-g0", "-t100", "-z100", "-n1,name", "-s1,virtio-net,tap0"])
def test_options_that_this_build_does_not_have(host, option):
    load_raw(host, bytes.fromhex("b0 fe e6 64"))
    result = host.run("bhyve", "-b", option, "vm0")
    assert result.returncode == 0
    one_line(result, option[:2], "not in this build")


@pytest.mark.parametrize("options", [["-c", "2"], ["-p", "9999"], ["-s", "2"], ["-s", "2,ahci-hd"],
                                     ["-m", "8"], ["-y"], ["-m"]])
def test_wrong_options(host, options):
    load_raw(host, HLT)
    refused(host.run("bhyve", "-b", *options, "vm0"))


def test_flat_program(host):
    """mov eax, 12345678h; hlt: 32-bit code at 2 MB."""
    result = load_kernel(host, bytes.fromhex("b8 78 56 34 12 f4"), "-a", "0x200000")
    assert (result.returncode, result.stderr) == (0, "")
    assert get(host, "rip") == 0x200000
    assert get(host, "cr0") == 0x21
    assert host.run("bhyve", "vm0").returncode == 2
    assert get(host, "rax") == 0x12345678


def test_multiboot_kernel(host):
    """It is entered at 100020h with the magic number in EAX; hlt."""
    magic, flags, base = 0x1badb002, 0x10000, 0x100000
    header = struct.pack("<8I", magic, flags, -(magic + flags) & 0xffffffff, base, base, 0, 0,
                         base + 32)
    result = load_kernel(host, header + HLT)
    assert (result.returncode, result.stderr) == (0, "")
    assert host.run("bhyve", "vm0").returncode == 2
    assert get(host, "rax") == 0x2badb002
    assert get(host, "rip") == 0x100021


def test_64_bit_program(host):
    """mov rax, 1122334455667788h; hlt: with the 64-bit preset and an identity map."""
    code = bytes.fromhex("48 b8 88 77 66 55 44 33 22 11 f4")
    elf = (b"\x7fELF\x02\x01\x01" + bytes(9)
           + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x100000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
           + struct.pack("<IIQQQQQQ", 1, 5, 120, 0x100000, 0x100000, len(code), len(code), 4096)
           + code)
    result = load_kernel(host, elf)
    assert (result.returncode, result.stderr) == (0, "")
    assert get(host, "efer") == 0x500
    assert get(host, "cr0") == 0x80000021
    assert host.run("bhyve", "vm0").returncode == 2
    assert get(host, "rax") == 0x1122334455667788


@pytest.mark.parametrize("content, word", [(b"", "empty"), (bytes(5 << 20), "memory"),
                                           (b"\x7fELF\x01" + bytes(20), "cut")],
                         ids=["empty", "large", "cut"])
def test_wrong_kernels(host, content, word):
    refused(load_kernel(host, content), word)
    assert host.left() == []


def test_failed_load_leaves_an_empty_vm(host):
    """What was loaded before is gone then, and nothing half-loaded can be run."""
    load_raw(host, HLT)
    refused(load_kernel(host, bytes(5 << 20)), "memory")
    result = host.run("bhyve", "-b", "vm0")
    assert result.returncode == 4


def test_running_vm_keeps_its_memory_and_its_name(host):
    load_raw(host, bytes.fromhex("eb fe"))
    host.start("bhyve", "-b", "vm0")
    host.wait_running("vm0")
    assert host.run("vmmctl", "--vm=vm0", "--get-stats").returncode == 0
    refused(host.run("vmmctl", "--vm=vm0", "--set-lowmem=64"), "vm0", "running")
    refused(host.run("vmmctl", "--vm=vm0", "--run"), "vm0", "cannot be run")
    refused(host.run("hyve86", "destroy", "vm0"), "vm0", "running")


def test_memory_in_one_number(host):
    assert host.run("bhyvectl", "--create", "--vm=vm0", "--set-mem=4096").returncode == 0
    sizes = [host.run("vmmctl", "--vm=vm0", f"--get-{name}").stdout.split("/")[1]
             for name in ("lowmem", "highmem")]
    assert [int(size) >> 20 for size in sizes] == [3072, 1024]


def test_names_of_today(host):
    """bhyvectl has the VMCS's fields by their later names too."""
    load_raw(host, HLT)
    for name in ("exit-reason", "eptp", "guest-pat"):
        assert host.run("bhyvectl", "--vm=vm0", f"--get-{name}").stdout == \
            host.run("bhyvectl", "--vm=vm0", f"--get-vmcs-{name}").stdout != ""
