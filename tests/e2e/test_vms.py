"""VMs by name: list, destroy, vmmctl's settings; bhyve with the built-in pseudo BIOS."""

import re

import pytest

from conftest import GUESTS

BOTH_ENGINES = True


@pytest.fixture
def vm0(host):
    assert host.run("vmmctl", "--create", "--vm=vm0").returncode == 0
    return host


def get(host, *options):
    result = host.run("vmmctl", "--vm=vm0", *options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_create_list_destroy(vm0):
    assert vm0.run("vmmctl", "--create", "--vm=vm0").returncode == 4
    listed = vm0.run("hyve86", "list")
    assert listed.returncode == 0 and re.search(r"^vm0\b", listed.stdout, re.M)
    assert vm0.run("vmmctl", "--destroy", "--vm=vm0").returncode == 0
    assert vm0.left() == []
    assert "vm0" not in vm0.run("hyve86", "list").stdout


def test_memory_sizes(vm0):
    get(vm0, "--set-lowmem=16")
    assert re.fullmatch(r"lowmem\t\t0x[0-9a-f]{16}/16777216\n", get(vm0, "--get-lowmem"))


@pytest.mark.parametrize("name", ["rax", "rip", "rsp", "rflags", "cr0", "cr3", "cr4", "dr7"])
def test_registers(vm0, name):
    get(vm0, f"--set-{name}=0x12")
    output = get(vm0, f"--get-{name}")
    # VT-x shows its fixed bits in CR0 and CR4, and DR7 bit 10 and RFLAGS bit 1 are always one.
    value = int(output.split()[1], 16)
    assert output.startswith(f"{name}[0]\t")
    assert value & 0x12 == 0x12


@pytest.mark.parametrize("name", ["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr"])
def test_descriptors(vm0, name):
    get(vm0, f"--set-desc-{name}", "--desc-base=0x12340", "--desc-limit=0x5678",
        "--desc-access=0x93")
    assert get(vm0, f"--get-desc-{name}") == \
        f"{name} desc[0]\t0x0000000000012340/0x00005678/0x00000093\n"


@pytest.mark.parametrize("name", ["gdtr", "idtr"])
def test_descriptor_tables(vm0, name):
    get(vm0, f"--set-desc-{name}", "--desc-base=0x12340", "--desc-limit=0x678")
    assert get(vm0, f"--get-desc-{name}") == f"{name}[0]\t\t0x0000000000012340/0x00000678\n"


def test_capability(vm0):
    name = "--capname=unrestricted_guest"
    assert get(vm0, name, "--getcap") == 'Capability "unrestricted_guest" is not set on vcpu 0\n'
    get(vm0, name, "--setcap=1")
    assert get(vm0, name, "--getcap") == 'Capability "unrestricted_guest" is set on vcpu 0\n'


@pytest.mark.parametrize("guest, status", [
    ("reset", 0), ("halt", 2), pytest.param("triple", 3, marks=pytest.mark.real_processor)])
def test_bhyve_with_the_built_in_bios(host, guest, status):
    """A disk that is named when loading, or as a PCI slot when running, is BIOS drive 80h."""
    image = host.image(guest, 1 << 20)
    assert host.run("bhyvebiosload", "-m", 16, "-d", image, "vm0").returncode == 0
    assert host.run("bhyve", "-m", 16, "-b", "vm0").returncode == status
    assert host.run("bhyvebiosload", "-m", 16, "vm0").returncode == 0
    for device in ("virtio-blk", "ahci-hd"):
        result = host.run("bhyve", "-m", 16, "-b", "-s", f"2,{device},{image}", "vm0")
        assert result.returncode == status, result.stderr
        assert host.run("bhyvebiosload", "-m", 16, "vm0").returncode == 0
    assert host.run("hyve86", "destroy", "vm0").returncode == 0
    assert host.left() == []


def test_boot_by_name(host):
    """A VM that hyve86 boot made is listed under its name while it runs, and goes with it."""
    runner = host.start("hyve86", "boot", "--console", "none", "--name", "mine",
                        "--timeout", 30, GUESTS / "spin.img")
    host.wait_running("mine")
    result = host.boot("--name", "mine", host.image("spin"))
    assert result.returncode == 4 and "mine" in result.stderr
    runner.terminate()
    runner.wait(timeout=10)
    assert "mine" not in host.left()


def test_flat_program_loaded_past_the_bios(host):
    """32-bit code at 1 MB: it stores a value, and stops with interrupts off."""
    # mov dword [200000h], 12345678h; mov eax, [200000h]; cli; hlt
    code = bytes.fromhex("c705 00002000 78563412  a1 00002000  fa f4")
    (host.folder / "flat.bin").write_bytes(code)
    result = host.run("bhyveload", "-m", 16, "-k", "flat.bin", "vm0")
    assert (result.returncode, result.stderr) == (0, "")
    assert get(host, "--get-rip") == "rip[0]\t\t0x0000000000100000\n"
    assert host.run("bhyve", "-m", 16, "vm0").returncode == 2
    assert get(host, "--get-rax") == "rax[0]\t\t0x0000000012345678\n"
