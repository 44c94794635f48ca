"""What the end-to-end tests share: the programs as built, run with VMs of their own."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HYVE86_BUILD", TOP / "build"))
GUESTS = BUILD / "tests" / "guest"
DATA = TOP / "tests" / "e2e" / "data"

# What test guests end with (tests/guest/guest.inc), as the status of a run.
GUEST_OK = 33
GUEST_NOT_OK = 35


class Host:
    """Runs the programs, with VMs in a folder that no other test sees."""

    def __init__(self, folder):
        self.folder = folder
        self.vms = folder / "vms"
        self.env = {**os.environ, "HYVE86_DIR": str(self.vms)}
        self.started = []

    def run(self, program, *args, timeout=60, stdin=""):
        """Run to the end: a CompletedProcess with text output."""
        return subprocess.run([BUILD / program, *map(str, args)], env=self.env, input=stdin,
                              capture_output=True, text=True, timeout=timeout, cwd=self.folder,
                              check=False)

    def boot(self, *args, **kwargs):
        """hyve86 boot on our CPU, without a console."""
        return self.run("hyve86", "boot", "--engine", "soft", "--console", "none",
                        "--debug-exit", "0xf4", "--timeout", "30", *args, **kwargs)

    def start(self, program, *args):
        """Start in the background; ended at the test's end if it still runs."""
        process = subprocess.Popen([BUILD / program, *map(str, args)], env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder)
        self.started.append(process)
        return process

    def wait_running(self, vm):
        """Wait until `hyve86 list` says that the VM runs."""
        wait_until(lambda: any(line.split()[:1] == [vm] and "running" in line
                               for line in self.run("hyve86", "list").stdout.splitlines()))

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
        """What is left in the folder of VMs."""
        return sorted(entry.name for entry in self.vms.iterdir()) if self.vms.exists() else []


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
def host(tmp_path):
    host = Host(tmp_path)
    yield host
    for process in host.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
