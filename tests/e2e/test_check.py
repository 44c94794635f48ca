"""hyve86 check: the rules of VM entry, on VMs and dumps, with and without unrestricted guest."""

import json

import pytest

from conftest import DATA, refused

LOADED = DATA / "dump-after-load.txt"
QEMU = DATA / "info-registers.txt"


def failed(result):
    """The names of the rules that the JSON says failed."""
    return [one["rule"] for one in json.loads(result.stdout)["failed"]]


@pytest.mark.parametrize("options, rules", [
    ([], ["cr0.pe", "cr0.pg"]),
    (["--no-unrestricted"], ["cr0.pe", "cr0.pg"]),
    (["--unrestricted"], []),
])
def test_seed_dump_as_loaded(host, options, rules):
    """Real mode needs unrestricted guest; the option says to suppose that it is there."""
    told = host.run("hyve86", "check", *options, LOADED)
    assert told.stderr == ""
    assert told.returncode == (1 if rules else 0)
    for rule in rules:
        assert rule in told.stdout
    assert ("none of" in told.stdout) == (not rules)
    assert failed(host.run("hyve86", "check", "--json", *options, LOADED)) == rules


def test_rule_is_told_with_section_field_and_value(host):
    told = host.run("hyve86", "check", LOADED).stdout.splitlines()
    assert told[0].endswith("rules, without unrestricted guest (SDM vol. 3C of March 2023)")
    assert told[1].split(None, 2) == ["cr0.pe", "27.3.1.1",
                                      "CR0.PE must be 1 without unrestricted guest"]
    assert told[2].split() == ["cr0", "0x20", "procbased_ctls2", "0x22"]
    assert "bhyve -b sets it" in told[-1]


def test_seed_dump_after_run(host):
    told = host.run("hyve86", "check", DATA / "dump-after-run.txt")
    assert (told.returncode, told.stderr) == (0, "")
    assert "VM entry succeeds" in told.stdout and "with unrestricted guest" in told.stdout


def test_dump_of_qemu(host):
    """No VT-x controls are in it: unrestricted guest is supposed."""
    assert host.run("hyve86", "check", QEMU).returncode == 0
    text = QEMU.read_text().splitlines()
    text = [line if not line.startswith("TR =") else "TR =0048 00000000 00000067 00008900"
            for line in text]
    told = host.run("hyve86", "check", "-", stdin="\n".join(text))
    assert told.returncode == 1
    assert told.stdout.startswith("standard input: VM entry fails: 1 of ")
    assert "tr.type" in told.stdout and "tr.access 0x89" in told.stdout


def test_pdptes_need_memory(host):
    """Of a dump alone the page-directory pointers cannot be known, and it says so."""
    text = LOADED.read_text()
    lines = [("cr0[0]\t0x0000000080000031" if line.startswith("cr0[0]") else
              "cr4[0]\t0x0000000000002020" if line.startswith("cr4[0]") else line)
             for line in text.splitlines()]
    told = host.run("hyve86", "check", "-", stdin="\n".join(lines))
    assert (told.returncode, told.stderr) == (0, "")
    assert "not checked without memory: pdpte.reserved" in told.stdout


def test_vm(host):
    """All rules that a VM's vCPU breaks, not just the first; bhyve names them too."""
    host.run("bhyvebiosload", "-m", 128, "-M", 256, "-h", host.pseudobios(b"\x0f\x01\xc1"), "vm0")
    host.run("vmmctl", "--vm=vm0", "--set-desc-tr", "--desc-base=0", "--desc-limit=0xffff",
             "--desc-access=0x89")
    assert failed(host.run("hyve86", "check", "--json", "vm0")) == ["cr0.pe", "cr0.pg", "tr.type"]
    told = host.run("hyve86", "check", "vm0")
    assert told.returncode == 1
    assert "with unrestricted guest 1 of them fails" in told.stdout
    run = host.run("bhyve", "-m", 128, "-M", 256, "vm0")
    assert run.returncode == 4
    assert run.stderr.count("\n") == 1
    for rule in ("cr0.pe: CR0.PE=0", "cr0.pg: CR0.PG=0", "tr.type: TR must be a busy TSS"):
        assert rule in run.stderr
    run = host.run("bhyve", "-m", 128, "-M", 256, "-b", "vm0")
    assert "tr.type" in run.stderr and "cr0.pe" not in run.stderr


@pytest.mark.parametrize("args, word", [
    (["nobody"], "no VM and no file"),
    (["./nobody"], "No such file"),
    (["/dev/null"], "no register dump"),
    (["--nonsense"], "usage"),
    (["one", "two"], "usage"),
])
def test_bad_use(host, args, word):
    refused(host.run("hyve86", "check", *args), word)
