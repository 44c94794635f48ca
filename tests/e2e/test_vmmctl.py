"""vmmctl on VMs that run and that do not: every register set and read back, counters, JSON."""

import json
import time

import pytest

from conftest import GUESTS, refused, wait_until

BOTH_ENGINES = True

VM = "vm0"

GENERAL = ["rsp", "rip", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
           *(f"r{number}" for number in range(8, 16))]
CONTROL = ["efer", "cr0", "cr2", "cr3", "cr4", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "rflags"]
SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr"]
TABLES = ["gdtr", "idtr"]

# Bits that VT-x holds at one, or that the processor does.
FIXED = {"cr0": 0x30, "cr4": 0x2000, "rflags": 2}


def stopped(host):
    assert host.run("vmmctl", "--create", f"--vm={VM}").returncode == 0


def paused(host):
    host.start("hyve86", "boot", "--console", "none", "--name", VM,
               "--timeout", "60", GUESTS / "spin.img")
    wait_until((host.vms / VM / "control").exists)
    assert host.run("hyve86", "stop", VM).returncode == 0


def paused_without_board(host):
    host.run("bhyvebiosload", "-m", 16, "-h", host.pseudobios(bytes.fromhex("eb fe")), VM)
    host.start("bhyve", "-b", VM)
    wait_until((host.vms / VM / "control").exists)
    assert host.run("hyve86", "stop", VM).returncode == 0


@pytest.fixture(params=[stopped, paused, paused_without_board])
def vm(host, request):
    request.param(host)
    return host


def ctl(host, *options):
    result = host.run("vmmctl", f"--vm={VM}", *options)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


def values(host, *options):
    return json.loads(ctl(host, "--json", *options))


@pytest.mark.parametrize("pattern", [0xa5a55a5af0f00f0f, 0x5a5aa5a50f0ff0f0])
def test_every_register_reads_back(vm, pattern):
    wanted = {name: pattern ^ number for number, name in enumerate(GENERAL + CONTROL)}
    selectors = {name: (pattern ^ number) & 0xffff for number, name in enumerate(SEGMENTS)}
    ctl(vm, *(f"--set-{name}={value:#x}" for name, value in (wanted | selectors).items()))
    shown = values(vm, *(f"--get-{name}" for name in wanted | selectors))
    for name, value in wanted.items():
        assert int(shown[name], 16) | FIXED.get(name, 0) == value | FIXED.get(name, 0), name
    for name, value in selectors.items():
        assert int(shown[name], 16) == value, name
    # Alone and in 2012's form, as well.
    for name in wanted:
        assert ctl(vm, f"--get-{name}").split() == [f"{name}[0]", shown[name]]


def test_every_descriptor_reads_back(vm):
    for number, name in enumerate(SEGMENTS + TABLES):
        base, limit, access = 0x123456789abc0000 + number, 0xfedc0000 + number, 0x1a5a0 + number
        ctl(vm, f"--set-desc-{name}", f"--desc-base={base:#x}", f"--desc-limit={limit:#x}",
            f"--desc-access={access:#x}")
        wanted = {"base": f"{base:#018x}", "limit": f"{limit:#010x}"}
        if name in SEGMENTS:
            wanted["access"] = f"{access:#010x}"
        assert values(vm, f"--get-desc-{name}")[f"desc-{name}"] == wanted
        # What is not given stays.
        ctl(vm, f"--set-desc-{name}", "--desc-base=0x1000")
        wanted["base"] = "0x0000000000001000"
        assert values(vm, f"--get-desc-{name}")[f"desc-{name}"] == wanted


def test_capabilities_fields_and_pinning(vm):
    for name in ("hlt_exit", "mtrap_exit", "pause_exit", "unrestricted_guest"):
        for value in (1, 0, 1):
            ctl(vm, f"--capname={name}", f"--setcap={value}")
            assert values(vm, f"--capname={name}", "--getcap")[name] is bool(value)
    ctl(vm, "--set-vmcs-exception-bitmap=0x12345678")
    assert values(vm, "--get-vmcs-exception-bitmap")["vmcs-exception-bitmap"] == "0x12345678"
    ctl(vm, "--set-vmcs-entry-interruption-info=0x80000306")
    assert values(vm, "--get-vmcs-entry-interruption-info") == \
        {"vm": VM, "cpu": 0, "vmcs-entry-interruption-info": "0x80000306"}
    ctl(vm, "--set-pinning=0")
    assert values(vm, "--get-pinning")["pinning"] == 0
    ctl(vm, "--set-pinning=-1")
    assert values(vm, "--get-pinning")["pinning"] == -1


def test_a_change_that_is_refused_changes_nothing(vm):
    ctl(vm, "--set-rbx=1")
    refused(vm.run("vmmctl", f"--vm={VM}", "--set-rbx=2", "--set-pinning=900"), "set-pinning")
    assert values(vm, "--get-rbx")["rbx"] == "0x0000000000000001"


def test_json_has_all_that_the_text_has(vm):
    text = ctl(vm, "--get-all").splitlines()
    shown = values(vm, "--get-all")
    assert len(text) > 90 and len(shown) > 90
    for name in GENERAL + CONTROL + SEGMENTS + [f"desc-{name}" for name in SEGMENTS + TABLES]:
        assert name in shown, name
    assert "stats" in shown and "vmcs-exit-reason" in shown and "lowmem" in shown
    assert len(values(vm, "--get-stats")["stats"]) >= 11


def test_items_of_today(vm):
    """In bhyvectl's formats."""
    sizes = values(vm, "--get-lowmem")["lowmem"]["length"]
    if sizes:
        text = f"{sizes >> 20}MB"
        assert ctl(vm, "--get-memmap").splitlines() == \
            ["Address     Length      Segment     Offset      Prot  Flags",
             f"0           {text:12}sysmem      0           RWX"]
        assert ctl(vm, "--get-memseg").splitlines() == \
            ["ID  Length      Name", f"0   {text:12}sysmem"]
    assert ctl(vm, "--get-intinfo") == "pending:\tn/a\ncurrent:\tn/a\n"
    assert ctl(vm, "--get-active-cpus") == "active cpus:\t 0\n"
    assert ctl(vm, "--get-suspended-cpus") == "suspended cpus:\t (none)\n"
    assert ctl(vm, "--get-cpu-topology") == \
        "cpu_topology:\tsockets=1, cores=1, threads=1, maxcpus=8\n"
    shown = values(vm, "--get-memmap", "--get-memseg", "--get-intinfo", "--get-x2apic-state",
                   "--get-active-cpus", "--get-debug-cpus", "--get-cpu-topology")
    assert len(shown["memmap"]) == (1 if sizes else 0) and shown["active-cpus"] == [0]
    assert shown["x2apic-state"] == 0 and shown["debug-cpus"] == []
    assert shown["intinfo"] == {"pending": None, "current": None}


def test_names_that_there_are_not(vm):
    for options in (["--get-nothing"], ["--json", "--get-nothing"]):
        refused(vm.run("vmmctl", f"--vm={VM}", *options), "get-nothing", "no such option")


@pytest.fixture
def hello(host):
    host.start("hyve86", "boot", "--console", "none", "--name", VM,
               "--timeout", "60", GUESTS / "hello.img")
    wait_until((host.vms / VM / "control").exists)
    wait_until(lambda: "HELLO" in host.run("hyve86", "screen", VM).stdout)
    return host


def stats(host):
    return values(host, "--get-stats")["stats"]


@pytest.mark.soft_only("KVM does not count instructions")
def test_running_vm_counts(hello):
    before = stats(hello)
    assert before["int 10h ah=0eh teletype"] == len("HELLO FROM REAL MODE\r\n")
    assert before["int 19h boot"] == 1
    assert before["instructions"] > 100 and before["vcpu total runtime"] > 0
    assert before["vm exits due to hlt"] > 0 and before["vm exits due to in/out"] > 50
    assert before["port writes of vga"] > 50
    assert before["total number of vm exits"] >= \
        before["vm exits due to hlt"] + before["vm exits due to in/out"]
    assert hello.run("hyve86", "type", VM, "ab").returncode == 0
    wait_until(lambda: stats(hello).get("int 16h ah=00h read") == 2)
    after = stats(hello)
    assert after["int 10h ah=0eh teletype"] == \
        before["int 10h ah=0eh teletype"] + 2 * len("KEY a SCAN 1E\r\n")
    assert all(after[name] >= value for name, value in before.items())
    assert "int 16h ah=00h read             \t2\n" in ctl(hello, "--get-stats")


def test_paused_vm_counts_no_time(hello):
    assert hello.run("hyve86", "stop", VM).returncode == 0
    before = stats(hello)
    time.sleep(0.3)
    assert stats(hello) == before
    assert hello.run("hyve86", "cont", VM).returncode == 0
    wait_until(lambda: stats(hello)["vm exits due to hlt"] > before["vm exits due to hlt"])
    assert stats(hello)["vcpu total runtime"] < before["vcpu total runtime"] + 250_000_000


@pytest.mark.soft_only("KVM does not count instructions")
def test_counters_stay_with_the_vm(host):
    image = host.image("halt", 1 << 20)
    assert host.run("bhyvebiosload", "-m", 16, "-d", image, VM).returncode == 0
    assert host.run("bhyve", "-b", VM).returncode == 2
    kept = stats(host)
    assert kept["int 19h boot"] == 1 and kept["instructions"] > 0
    assert kept["port writes of i8254"] > 0 and kept["vm exits due to in/out"] > 0


def test_running_vm_is_explained(hello):
    result = hello.run("hyve86", "explain", VM)
    assert (result.returncode, result.stderr) == (0, "")
    assert "int 16h" in result.stdout.lower() or "hlt" in result.stdout.lower()


def test_set_on_a_running_guest_takes_effect(host):
    """It spins until somebody changes its register."""
    # 1: cmp eax, 12345678h; jne 1b; cli; hlt
    host.run("bhyvebiosload", "-m", 16, "-h",
             host.pseudobios(bytes.fromhex("663d78563412 75f8 faf4")), VM)
    runner = host.start("bhyve", "-b", VM)
    wait_until((host.vms / VM / "control").exists)
    time.sleep(0.1)
    assert runner.poll() is None
    ctl(host, "--set-rax=0x12345678")
    assert runner.wait(timeout=10) == 2


def test_impossible_registers_end_the_run(host):
    """VM entry judges what was set, as on VT-x: here paging without protection."""
    paused_without_board(host)
    ctl(host, "--set-cr0=0x80000000")
    runner = host.started[-1]
    assert host.run("hyve86", "cont", VM).returncode == 0
    assert runner.wait(timeout=10) == 4


def test_force_reset_and_poweroff(hello):
    ctl(hello, "--force-reset")
    wait_until(lambda: stats(hello)["int 19h boot"] == 2)
    ctl(hello, "--force-poweroff")
    assert hello.started[-1].wait(timeout=10) == 0
    hello.run("vmmctl", "--create", f"--vm={VM}")
    refused(hello.run("vmmctl", f"--vm={VM}", "--force-reset"), VM, "does not run")


def test_reading_is_quick(hello):
    hello.run("hyve86", "stop", VM)
    times = []
    for _ in range(5):
        before = time.monotonic()
        ctl(hello, "--get-all")
        times.append(time.monotonic() - before)
    assert sorted(times)[2] < 0.5
