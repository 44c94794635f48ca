"""What the end-to-end tests share: the programs as built, run with VMs of their own."""

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HYVE86_BUILD", TOP / "build"))
GUESTS = BUILD / "tests" / "guest"
DATA = TOP / "tests" / "e2e" / "data"

# What test guests end with (tests/guest/guest.inc), as the status of a run.
GUEST_OK = 33
GUEST_NOT_OK = 35


ENGINES = ("soft", "kvm")


def pytest_generate_tests(metafunc):
    """The tests of a module with BOTH_ENGINES run once on each."""
    if "host" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_ENGINES", False):
        metafunc.parametrize("host", ENGINES, indirect=True)


def pytest_configure(config):
    config.addinivalue_line("markers", "soft_only(reason): never on KVM")
    config.addinivalue_line("markers", "real_processor: not on a KVM that emulates")


def kvm_boot(guest):
    """A test guest on this machine's KVM."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([BUILD / "hyve86", "boot", "--engine", "kvm", "--console", "none",
                               "--debug-exit", "0xf4", "--timeout", "20", GUESTS / f"{guest}.img"],
                              env={**os.environ, "HYVE86_DIR": folder},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)


@functools.cache
def kvm_problem():
    """Why this machine's KVM cannot run the tests; None when it can."""
    device = pathlib.Path("/dev/kvm")
    if not device.exists():
        return "there is no /dev/kvm"
    if not os.access(device, os.R_OK | os.W_OK):
        return "/dev/kvm: permission denied"
    end = kvm_boot("debug-exit")
    return None if end.returncode == GUEST_OK else "KVM is unfit: " + end.stderr.split("\n")[0]


@functools.cache
def kvm_emulates():
    """Whether this machine's KVM executes real mode in software, which leaves out checks."""
    return kvm_boot("triple").returncode != 3


def kvm_skip(item):
    """Why the test ITEM is not for this machine's KVM; None when it is."""
    if item.get_closest_marker("soft_only") is not None:
        return item.get_closest_marker("soft_only").args[0]
    if kvm_problem() is not None:
        return kvm_problem()
    if item.get_closest_marker("real_processor") is not None and kvm_emulates():
        return "this machine's KVM emulates real mode, and ignores limits and breakpoints"
    return None


def is_engine_choice(program, args):
    """Whether a command line runs a guest, and leaves the engine open."""
    runs = program == "bhyve" or (program == "hyve86" and args[:1] == ("boot",))
    return runs and not {"--engine", "--cpu", "--clock"} & set(args)


class Host:
    """Runs the programs, with VMs in a folder that no other test sees, on one CPU engine."""

    def __init__(self, folder, engine="soft"):
        self.folder = folder
        self.engine = engine
        self.vms = folder / "vms"
        self.env = {**os.environ, "HYVE86_DIR": str(self.vms)}
        self.started = []

    def command(self, program, args):
        """The command line, on our engine."""
        engine = ["--engine", self.engine] if is_engine_choice(program, args) else []
        at = 1 if program == "hyve86" else 0
        return [BUILD / program, *map(str, args[:at]), *engine, *map(str, args[at:])]

    def run(self, program, *args, timeout=60, stdin=""):
        """Run to the end: a CompletedProcess with text output."""
        return subprocess.run(self.command(program, args), env=self.env, input=stdin,
                              capture_output=True, text=True, timeout=timeout, cwd=self.folder,
                              check=False)

    def boot(self, *args, **kwargs):
        """hyve86 boot without a console."""
        return self.run("hyve86", "boot", "--console", "none", "--debug-exit", "0xf4",
                        "--timeout", "30", *args, **kwargs)

    def start(self, program, *args):
        """Start in the background; ended at the test's end if it still runs."""
        process = subprocess.Popen(self.command(program, args), env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder)
        self.started.append(process)
        return process

    def wait_running(self, vm):
        """Wait until `hyve86 list` says that the VM runs, and it can be talked to."""
        wait_until(lambda: any(line.split()[:1] == [vm] and "running" in line
                               for line in self.run("hyve86", "list").stdout.splitlines()))
        wait_until((self.vms / vm / "control").exists)

    def image(self, name, size=None):
        """A copy of a test guest's image, for the test to write to; grown to SIZE."""
        copy = self.folder / f"{name}.img"
        shutil.copyfile(GUESTS / f"{name}.img", copy)
        if size:
            os.truncate(copy, size)
        return copy

    def pseudobios(self, code):
        """A folder for bhyvebiosload -h whose pseudobios.bin is CODE; with the slash at its end."""
        folder = self.folder / "host"
        folder.mkdir(exist_ok=True)
        (folder / "pseudobios.bin").write_bytes(code)
        return f"{folder}/"

    def left(self):
        """What VMs are left."""
        return sorted(entry.name for entry in self.vms.iterdir()
                      if entry.is_dir()) if self.vms.exists() else []


def wait_until(condition, seconds=20):
    """Poll until CONDITION holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def refused(result, *words):
    """Check that a command ended with status 4 and one line that has all of WORDS in it."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.returncode == 4, (result.returncode, result.stderr)
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word.lower() in lines[0].lower(), (word, lines[0])
    assert result.stdout == ""


@pytest.fixture
def host(request, tmp_path):
    engine = getattr(request, "param", "soft")
    problem = kvm_skip(request.node) if engine == "kvm" else None
    if problem is not None:
        pytest.skip(problem)
    host = Host(tmp_path, engine)
    yield host
    for process in host.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
