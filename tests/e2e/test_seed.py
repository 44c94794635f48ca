"""The session this project began with: a pseudo BIOS of one VMCALL, loaded, run and dumped."""

import re

import pytest

from conftest import DATA

VMCALL = bytes.fromhex("0f 01 c1")

# Lines of the dumps that are the machine's or the moment's own.
OWN = ("vcpu migration", "vcpu total runtime", "vm exits due to", "pincpu", "eptp", "msr_bitmap",
       "vpid", "host_")


@pytest.fixture
def loaded(host):
    """The host, with vm0 loaded."""
    result = host.run("bhyvebiosload", "-m", 128, "-M", 256, "-h", host.pseudobios(VMCALL), "vm0")
    assert (result.returncode, result.stderr) == (0, "")
    return host


def dump(host):
    """The lines of vmmctl --get-all, with tabs expanded."""
    result = host.run("vmmctl", "--get-all", "--vm=vm0")
    assert result.returncode == 0, result.stderr
    return result.stdout.expandtabs().splitlines()


def label(line):
    """What a line of a dump names: its text up to the value."""
    return re.split(r"\s{2,}|\s+(?=0x|\d+$|RW$)", line)[0]


def comparable(lines):
    """A dump's lines without what differs from machine to machine."""
    lines = [re.sub(r"^(lowmem|highmem).*/", r"\1 /", line) for line in lines]
    return [label(line) if line.startswith(OWN) else line.rstrip() for line in lines]


def seed_dump(name):
    """A dump of the seed without two bugs of that day: its last line, and host_rip for RSP."""
    lines = (DATA / name).read_text().splitlines()
    rips = [number for number, line in enumerate(lines) if line.startswith("host_rip")]
    lines[rips[1]] = lines[rips[1]].replace("host_rip", "host_rsp")
    return lines[:-1] if lines[-1].startswith("errno") else lines


def exit_block(output):
    """The values of the VMX exit block that bhyve prints."""
    match = re.search(r"^vm exit\[0\]\n"
                      r"\treason\t\tVMX\n"
                      r"\trip\t\t(0x[0-9a-f]{16})\n"
                      r"\tinst_length\t(\d+)\n"
                      r"\terror\t\t-?\d+\n"
                      r"\texit_reason\t(\d+)\n"
                      r"\tqualification\t(0x[0-9a-f]{16})$", output, re.M)
    assert match, output
    return {"rip": int(match[1], 16), "inst_length": int(match[2]), "exit_reason": int(match[3])}


def one_line(text):
    assert len(text.strip().splitlines()) == 1, text
    return text


def test_vmcall_reaches_the_host(loaded):
    result = loaded.run("bhyve", "-m", 128, "-M", 256, "-b", "vm0")
    assert exit_block(result.stdout) == {"rip": 0, "inst_length": 3, "exit_reason": 18}
    assert "VMCALL" in one_line(result.stderr)
    assert result.returncode == 4


def test_dump_has_the_lines_of_2012_before_and_after(loaded):
    expected = [label(line) for line in seed_dump("dump-after-load.txt")]
    assert [label(line) for line in dump(loaded)] == expected
    loaded.run("bhyve", "-m", 128, "-M", 256, "-b", "vm0")
    assert [label(line) for line in dump(loaded)] == expected


def test_both_names_dump_alike(loaded):
    assert loaded.run("bhyvectl", "--get-all", "--vm=vm0").stdout == \
        loaded.run("vmmctl", "--get-all", "--vm=vm0").stdout


def test_real_mode_needs_unrestricted_guest(loaded):
    result = loaded.run("bhyve", "-m", 128, "-M", 256, "vm0")
    assert exit_block(result.stdout)["exit_reason"] == 33
    assert "unrestricted guest" in one_line(result.stderr)
    assert "CR0.PE" in result.stderr
    assert result.returncode == 4
    values = dict(line.split(None, 1) for line in dump(loaded) if line.startswith("vmcs_exit"))
    assert values["vmcs_exit_reason[0]"] == "0x0000000080000021"


def set_the_seeds_wrong_values(host):
    """Limit 0 everywhere, CS as in 64-bit code."""
    access = {"cs": 0x209b, "tr": 0x8b, "ldtr": 0x10000}
    for name in ("ds", "es", "fs", "gs", "ss", "cs", "tr", "ldtr"):
        result = host.run("vmmctl", "--vm=vm0", f"--set-desc-{name}", "--desc-base=0",
                          "--desc-limit=0", f"--desc-access={access.get(name, 0x93):#x}")
        assert result.returncode == 0, result.stderr
    result = host.run("vmmctl", "--vm=vm0", "--set-desc-idtr", "--desc-base=0", "--desc-limit=0")
    assert result.returncode == 0, result.stderr


def test_wrong_values_as_loaded(loaded):
    set_the_seeds_wrong_values(loaded)
    assert comparable(dump(loaded)) == comparable(seed_dump("dump-after-load.txt"))


def test_wrong_values_end_in_the_seeds_triple_fault(loaded):
    set_the_seeds_wrong_values(loaded)
    result = loaded.run("bhyve", "-m", 128, "-M", 256, "-b", "vm0")
    assert exit_block(result.stdout) == {"rip": 0, "inst_length": 3, "exit_reason": 2}
    assert result.returncode == 3
    assert comparable(dump(loaded)) == comparable(seed_dump("dump-after-run.txt"))


def test_loading_again_resets_the_vm(loaded):
    """The capability that bhyve -b set stays with the VM until it is loaded again."""
    loaded.run("bhyve", "-m", 128, "-M", 256, "-b", "vm0")
    again = loaded.run("bhyve", "-m", 128, "-M", 256, "vm0")
    assert exit_block(again.stdout)["exit_reason"] == 18
    loaded.run("bhyvebiosload", "-m", 128, "-M", 256, "-h", loaded.folder / "host", "vm0")
    fresh = loaded.run("bhyve", "-m", 128, "-M", 256, "vm0")
    assert exit_block(fresh.stdout)["exit_reason"] == 33
