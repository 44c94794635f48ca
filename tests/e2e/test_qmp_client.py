"""A public QMP client from npm drives a VM; skipped where there is no npm, or no network."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import DATA, GUESTS

CLIENT = "qemu-qmp@0.5.0"


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("npm")
    try:
        install = subprocess.run(["npm", "install", "--prefix", folder, CLIENT], timeout=60,
                                 stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if install.returncode != 0:
        pytest.skip(f"npm cannot install {CLIENT}")
    return folder / "node_modules"


def test_session(host, modules):
    guest = host.start("hyve86", "boot", "--console", "none", "--name", "client",
                       GUESTS / "hello.img")
    host.wait_running("client")
    picture = host.folder / "screen.ppm"
    run = subprocess.run(["node", DATA / "qmp_client.js", host.vms / "client" / "control", picture],
                         env={**os.environ, "NODE_PATH": str(modules)}, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    running = {"status": "running", "running": True, "singlestep": False}
    assert answers == [
        ["query-status", running], ["stop", {}],
        ["query-status", {"status": "paused", "running": False, "singlestep": False}],
        ["send-key", {}], ["screendump", {}], ["cont", {}],
        ["no-such-command", "Error: The command no-such-command has not been found"],
        ["quit", {}], ["events", ["stop", "shutdown"]]]
    assert picture.read_bytes().startswith(b"P6\n720 400\n255\n")
    assert guest.wait(timeout=10) == 0
