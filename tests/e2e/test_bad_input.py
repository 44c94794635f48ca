"""Bad input: one clear line, status 4, nothing left behind."""

import os
import subprocess

import pytest

from conftest import BUILD, ENGINES, GUESTS, refused

SPIN = bytes.fromhex("eb fe")
# Fills memory with ones, 64 KB at a time from 10000h on, for ever:
#	mov ax, 1000h; l: mov es, ax; mov cx, 8000h; xor di, di; push ax; mov ax, -1; rep stosw;
#	pop ax; add ax, 1000h; jmp l
# SS:SP is 0:0, so a push goes to the top of segment 0.
FILL = bytes.fromhex("b8 00 10 8e c0 b9 00 80 31 ff 50 b8 ff ff f3 ab 58 05 00 10 eb ed")


def test_missing_image(host):
    refused(host.boot("nowhere.img"), "nowhere.img", "no such file")
    assert host.left() == []


def test_empty_image(host):
    (host.folder / "empty.img").touch()
    refused(host.boot("empty.img"), "empty.img", "empty")
    assert host.left() == []


def test_image_not_of_whole_sectors(host):
    host.image("debug-exit", 1000)
    refused(host.boot("debug-exit.img"), "debug-exit.img", "512")
    assert host.left() == []


def test_truncated_image(host):
    """Its partition table names a partition that ends beyond the file."""
    image = host.image("debug-exit", 4 << 20)
    with open(image, "r+b") as disk:
        disk.seek(446)
        # Active, type 6, from sector 63 on, 1,000,000 sectors long.
        disk.write(bytes.fromhex("80 01 01 00 06 fe ff ff") + (63).to_bytes(4, "little")
                   + (1000000).to_bytes(4, "little"))
    refused(host.boot(image), "debug-exit.img", "partition")
    assert host.left() == []


def test_folder_as_image(host):
    refused(host.boot(host.folder), str(host.folder))
    assert host.left() == []


@pytest.mark.parametrize("size", ["0", "1T", "-1", "12X", ""])
def test_memory_size(host, size):
    refused(host.boot("-m", size, GUESTS / "debug-exit.img"), "memory")
    assert host.left() == []


def test_more_than_one_vcpu(host):
    refused(host.boot("-c", 2, GUESTS / "debug-exit.img"), "vcpu")
    assert host.left() == []


@pytest.mark.parametrize("name", ["../vm", "a/b", "", ".", "x" * 100])
def test_vm_name(host, name):
    refused(host.boot("--name", name, GUESTS / "debug-exit.img"), "name")
    assert host.left() == []


@pytest.mark.parametrize("command", [
    ["bhyve", "-b", "nosuch"],
    ["vmmctl", "--get-all", "--vm=nosuch"],
    ["hyve86", "destroy", "nosuch"],
], ids=lambda command: command[0])
def test_unknown_vm(host, command):
    refused(host.run(*command), "nosuch")
    assert host.left() == []


@pytest.mark.parametrize("size", [0, 0x5001, 0xffff, 0x10001])
def test_pseudobios_of_a_wrong_size(host, size):
    folder = host.pseudobios(bytes(size))
    refused(host.run("bhyvebiosload", "-m", 16, "-h", folder, "vm0"), "pseudobios.bin")
    assert host.left() == []


def load(host, code, megabytes=16):
    result = host.run("bhyvebiosload", "-m", megabytes, "-h", host.pseudobios(code), "vm0")
    assert result.returncode == 0, result.stderr


def test_other_memory_size_than_the_vms(host):
    load(host, SPIN)
    refused(host.run("bhyve", "-m", 32, "-b", "vm0"), "16", "32")


def test_vm_already_running(host):
    load(host, SPIN)
    runner = host.start("bhyve", "-m", 16, "-b", "vm0")
    host.wait_running("vm0")
    refused(host.run("bhyve", "-m", 16, "-b", "vm0"), "vm0", "running")
    refused(host.run("bhyvebiosload", "-m", 16, "-h", host.folder / "host", "vm0"),
            "vm0", "running")
    assert runner.poll() is None


def test_killed_runner(host):
    """Memory and registers disagree then: the VM can be read and destroyed, not run."""
    load(host, SPIN)
    runner = host.start("bhyve", "-m", 16, "-b", "vm0")
    host.wait_running("vm0")
    runner.kill()
    runner.wait()
    dump = host.run("vmmctl", "--get-all", "--vm=vm0")
    assert dump.returncode == 0 and "rip[0]" in dump.stdout
    refused(host.run("bhyve", "-m", 16, "-b", "vm0"), "vm0", "cannot be run")
    assert host.run("hyve86", "destroy", "vm0").returncode == 0
    assert host.left() == []


def state_file(host):
    return host.vms / "vm0" / "state"


def refused_by_all(host, *words):
    """No command takes the damaged VM, and it can still be destroyed."""
    refused(host.run("bhyve", "-m", 16, "-b", "vm0"), "vm0", *words)
    refused(host.run("vmmctl", "--get-all", "--vm=vm0"), "vm0", *words)
    assert host.run("hyve86", "destroy", "vm0").returncode == 0
    assert host.left() == []


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.99])
def test_state_file_cut(host, part):
    load(host, SPIN)
    os.truncate(state_file(host), int(state_file(host).stat().st_size * part))
    refused_by_all(host, "state")


def test_state_file_with_a_flipped_byte(host):
    """Whichever byte it is."""
    load(host, SPIN)
    good = state_file(host).read_bytes()
    for position in range(0, len(good), max(1, len(good) // 50)):
        bad = bytearray(good)
        bad[position] ^= 0x10
        state_file(host).write_bytes(bad)
        result = host.run("bhyve", "-m", 16, "-b", "vm0", timeout=5)
        refused(result, "vm0")


def test_state_file_of_another_version(host):
    """The version is the 32-bit number behind the magic of 8 bytes."""
    load(host, SPIN)
    state = bytearray(state_file(host).read_bytes())
    state[8] += 1
    state_file(host).write_bytes(state)
    refused_by_all(host, "version")


def on_small_disk(host, size, script):
    """Run a shell script whose VMs live on a tmpfs of SIZE that only it sees."""
    host.vms.mkdir()
    mount = f"mount -t tmpfs -o size={size} none {host.vms} && "
    unshare = ["unshare", "--mount"] + ([] if os.getuid() == 0 else ["--map-root-user"])
    return subprocess.run([*unshare, "sh", "-c", mount + script], env=host.env,
                          capture_output=True, text=True, timeout=60, check=False)


def test_no_space_for_guest_memory(host):
    """The VMs' file system is smaller than the guest's memory."""
    folder = host.pseudobios(FILL)
    refused(on_small_disk(host, "256k", f"{BUILD}/bhyvebiosload -m 16 -h {folder} vm0"), "space")


@pytest.mark.parametrize("host", ENGINES, indirect=True)
def test_guest_memory_fills_the_disk(host):
    """It has become full when the guest runs: one line, and the VM can be read and destroyed."""
    folder = host.pseudobios(FILL)
    result = on_small_disk(host, "20m", f"""
        {BUILD}/bhyvebiosload -m 16 -h {folder} vm0 || exit
        dd if=/dev/zero of={host.vms}/filler bs=64k 2>/dev/null
        truncate -s -200k {host.vms}/filler
        {BUILD}/bhyve --engine {host.engine} -m 16 -b vm0
        status=$?
        {BUILD}/vmmctl --vm=vm0 --get-rip >/dev/null 2>&1 || status=99
        {BUILD}/bhyvectl --vm=vm0 --destroy || status=98
        exit $status""")
    refused(result, "full" if "KVM_RUN" in result.stderr else "space")
