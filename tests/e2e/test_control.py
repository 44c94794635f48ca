"""The control socket of a running VM: QMP as its clients speak it, and the commands that use it."""

import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import time

import pytest

import picture
from conftest import GUESTS, TOP, refused, wait_until

BOTH_ENGINES = True

VM = "vm0"


class Client:
    """A QMP client as simple as they come: one request, one answer; events are put aside."""

    def __init__(self, path, negotiate=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")
        self.events = []
        self.greeting = self.message()
        if negotiate:
            assert self.ask("qmp_capabilities") == {"return": {}}

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def message(self):
        line = self.lines.readline()
        assert line.endswith(b"\r\n"), line
        return json.loads(line)

    def answer(self):
        while True:
            message = self.message()
            if "event" not in message:
                return message
            self.events.append(message)

    def ask(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value
                                    for key, value in arguments.items()}
        self.send(json.dumps(request) + "\n")
        return self.answer()

    def result(self, command, **arguments):
        answer = self.ask(command, **arguments)
        assert "return" in answer, answer
        return answer["return"]

    def error(self, command, **arguments):
        answer = self.ask(command, **arguments)
        assert set(answer["error"]) == {"class", "desc"}, answer
        return answer["error"]

    def wait_event(self, name):
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    assert set(event["timestamp"]) == {"seconds", "microseconds"}
                    return event
            self.events.append(self.message())

    def close(self):
        self.lines.close()
        self.socket.close()

    def ended(self):
        """Whether the other end closes, having said no more than events."""
        try:
            return all("event" in json.loads(line) for line in self.lines)
        except ConnectionResetError:
            return True


class Guest:
    """A VM that runs, and its socket."""

    def __init__(self, host, guest):
        self.host = host
        self.directory = host.vms / VM
        self.process = host.start("hyve86", "boot", "--console", "none",
                                  "--name", VM, "--timeout", "60", GUESTS / f"{guest}.img")
        wait_until(self.path().exists)

    def path(self):
        return self.directory / "control"

    def client(self, **options):
        return Client(self.path(), **options)

    def screen(self):
        return self.host.run("hyve86", "screen", VM).stdout

    def wait_for(self, text):
        wait_until(lambda: text in self.screen())


@pytest.fixture
def spin(host):
    return Guest(host, "spin")


@pytest.fixture
def hello(host):
    guest = Guest(host, "hello")
    guest.wait_for("HELLO FROM REAL MODE")
    return guest


def test_negotiation(spin):
    client = spin.client(negotiate=False)
    assert client.greeting["QMP"]["capabilities"] == []
    assert set(client.greeting["QMP"]["version"]) == {"qemu", "package"}
    assert client.error("query-status")["class"] == "CommandNotFound"
    assert client.ask("qmp_capabilities", enable=["oob"])["error"]["class"] == "GenericError"
    assert client.ask("qmp_capabilities") == {"return": {}}
    assert client.error("qmp_capabilities")["class"] == "CommandNotFound"
    assert client.result("query-version") == client.greeting["QMP"]["version"]
    names = {command["name"] for command in client.result("query-commands")}
    assert {"qmp_capabilities", "query-version", "query-commands", "query-status", "query-name",
            "stop", "cont", "system_reset", "system_powerdown", "quit", "screendump", "send-key",
            "human-monitor-command"} <= names
    page = (TOP / "docs" / "control-socket.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
    assert client.result("query-name") == {"name": VM}


def test_stop_and_cont(spin):
    client, other = spin.client(), spin.client()
    assert client.result("query-status") == \
        {"status": "running", "running": True, "singlestep": False}
    assert client.result("stop") == {}
    client.wait_event("STOP")
    other.wait_event("STOP")
    assert client.result("stop") == {} and not client.events
    assert client.result("query-status")["status"] == "paused"
    assert client.result("cont") == {}
    client.wait_event("RESUME")
    assert client.result("query-status")["running"] is True


def test_ids_come_back(spin):
    client = spin.client()
    client.send('{"execute": "query-name", "id": {"a": [1]}}{"execute": "nothing", "id": "x"}')
    assert client.answer() == {"return": {"name": VM}, "id": {"a": [1]}}
    assert client.answer()["id"] == "x"


@pytest.mark.parametrize("text, desc", [
    ("hello\n", "JSON parse error"),
    ("{]\n", "JSON parse error"),
    ('{"execute": "stop"]}\n', "JSON parse error"),
    ('{"execute": "stop"\n', "JSON parse error"),
    (b'{"execute": "\xff"}\n', "JSON parse error"),
    (b"\0\0\0\n", "JSON parse error"),
    ("[]\n", "must be a JSON object"),
    ("{}\n", "lacks member 'execute'"),
    ('{"execute": 1}\n', "must be a string"),
    ('{"execute": "stop", "arguments": 1}\n', "must be an object"),
    ('{"execute": "stop", "nothing": 1}\n', "is unexpected"),
    ('{"execute": "stop", "arguments": {"nothing": 1}}\n', "is unexpected"),
    ('{"execute": "human-monitor-command"}\n', "'command-line' is missing"),
])
def test_broken_requests(spin, text, desc):
    client = spin.client()
    client.send(text)
    error = client.answer()["error"]
    assert error["class"] == "GenericError" and desc in error["desc"], error
    assert client.result("query-status")["running"] is True


def test_unknown_command(spin):
    assert spin.client().error("migrate")["class"] == "CommandNotFound"


def test_a_request_in_parts_and_over_lines(spin):
    client = spin.client()
    for part in ('{"exec', 'ute":\n', ' "query-', 'name"', "}"):
        client.send(part)
        time.sleep(0.05)
    assert client.answer() == {"return": {"name": VM}}


def test_endless_line(spin):
    client, other = spin.client(), spin.client()
    try:
        client.send('{"execute": "' + 200000 * "x")
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert "65536" in client.answer()["error"]["desc"]
    assert client.ended()
    assert other.result("query-status")["running"] is True


def test_client_that_does_not_read(spin):
    """It is dropped; neither the guest nor other clients wait for it."""
    client, other = spin.client(), spin.client()
    client.socket.settimeout(0.2)
    request = 100 * b'{"execute": "query-commands"}\n'
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(10000):
            try:
                client.send(request)
            except TimeoutError:
                continue
            if other.result("query-status")["running"] is not True:
                break
    assert other.result("query-status")["running"] is True


def test_many_clients_and_those_that_leave(spin):
    for _ in range(40):
        spin.client(negotiate=False).close()
        half = spin.client()
        half.send('{"execute": "query-name"')
        half.close()
    clients = [spin.client() for _ in range(16)]
    assert all(client.result("query-name") == {"name": VM} for client in clients)
    more = socket.socket(socket.AF_UNIX)
    more.connect(str(spin.path()))
    assert more.recv(100) == b""


def test_last_words_of_a_client_are_answered(spin):
    client = spin.client()
    client.send('{"execute": "query-name"}')
    client.socket.shutdown(socket.SHUT_WR)
    assert client.answer() == {"return": {"name": VM}}
    assert client.ended()


@pytest.mark.parametrize("paused", [False, True])
def test_answers_come_soon(spin, paused):
    client = spin.client()
    if paused:
        client.result("stop")
    times = []
    for _ in range(101):
        before = time.monotonic()
        client.result("query-status")
        times.append(time.monotonic() - before)
    assert sorted(times)[50] < 0.005, sorted(times)


def test_only_the_owner_connects(spin):
    assert stat.S_IMODE(spin.path().stat().st_mode) == 0o600
    assert stat.S_IMODE(spin.directory.stat().st_mode) == 0o700
    if os.geteuid() != 0:
        return
    # With the doors open it is the runner that looks who comes.
    spin.directory.chmod(0o755)
    spin.path().chmod(0o666)
    directory = os.open(spin.directory, os.O_RDONLY)
    child = os.fork()
    if child == 0:
        os.fchdir(directory)
        os.setuid(65534)
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(10)
        stranger.connect("control")
        os._exit(0 if stranger.recv(100) == b"" else 1)
    os.close(directory)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert spin.client().result("query-name") == {"name": VM}


def test_the_socket_is_there_when_it_listens(host):
    """Who connects at the very moment that it has its name is not refused."""
    for number in range(20):
        path = host.vms / f"vm{number}" / "control"
        runner = host.start("hyve86", "boot", "--engine", "soft", "--console", "none", "--name",
                            f"vm{number}", "--timeout", "30", GUESTS / "spin.img")
        while True:
            try:
                client = Client(path, negotiate=False)
                break
            except FileNotFoundError:
                assert runner.poll() is None
        client.close()
        runner.kill()
        runner.wait()


def test_stale_socket_is_no_hindrance(host):
    guest = Guest(host, "spin")
    guest.process.kill()
    guest.process.wait()
    assert guest.path().exists()
    refused(host.run("hyve86", "screen", VM), VM, "does not run")
    again = Guest(host, "spin")
    wait_until(lambda: host.run("hyve86", "stop", VM).returncode == 0)
    again.process.terminate()
    again.process.wait()
    assert host.left() == []


def qcodes(*names):
    return [{"type": "qcode", "data": name} for name in names]


def test_send_key(hello):
    client = hello.client()
    assert client.result("send-key", keys=qcodes("a")) == {}
    hello.wait_for("KEY a SCAN 1E")
    assert client.result("send-key", keys=qcodes("shift", "b"), hold_time=10) == {}
    hello.wait_for("KEY B SCAN 30")
    assert client.result("send-key", keys=[{"type": "number", "data": 0x2e}]) == {}
    hello.wait_for("KEY c SCAN 2E")
    # As QEMU's documentation has it, over two lines.
    client.send('{ "execute": "send-key",\n'
                '  "arguments": { "keys": [ { "type": "qcode", "data": "d" } ] } }\n')
    assert client.answer() == {"return": {}}
    hello.wait_for("KEY d SCAN 20")


@pytest.mark.parametrize("keys", [
    [{"type": "qcode", "data": "nothing"}], [{"type": "number", "data": 0}], [{}], [1],
    [{"type": "qcode"}], [{"type": "number", "data": "x"}], qcodes(*20 * ["a"]),
])
def test_keys_that_are_none(spin, keys):
    assert spin.client().error("send-key", keys=keys)["class"] == "GenericError"


def test_screendump(hello):
    client = hello.client()
    file = hello.host.folder / "screen.txt"
    assert client.result("screendump", filename=str(file)) == {}
    assert file.read_text().startswith("HELLO FROM REAL MODE")
    other = hello.host.folder / "screen"
    assert client.result("screendump", filename=str(other), format="txt") == {}
    assert other.read_text() == file.read_text()
    assert "format" in client.error("screendump", filename="x", format="gif")["desc"]
    assert "/nowhere/x.txt: No such file" in \
        client.error("screendump", filename="/nowhere/x.txt")["desc"]
    os.mkfifo(hello.host.folder / "pipe.txt")
    assert "pipe.txt: " in client.error("screendump",
                                        filename=str(hello.host.folder / "pipe.txt"))["desc"]


def test_screendump_pictures(hello):
    """As QEMU has it: PPM unless PNG is asked for, whatever the file's name."""
    client = hello.client()
    client.result("stop")
    files = [hello.host.folder / name for name in ("screen", "a.png", "b.ppm", "c.png")]
    assert client.result("screendump", filename=str(files[0])) == {}
    assert client.result("screendump", filename=str(files[1])) == {}
    assert client.result("screendump", filename=str(files[2]), format="ppm") == {}
    assert client.result("screendump", filename=str(files[3]), format="png", device="video",
                         head=0) == {}
    size, dots = picture.read_ppm(files[0])
    assert size == (720, 400)
    assert (size, dots) == picture.read_ppm(files[1]) == picture.read_ppm(files[2])
    assert (size, dots) == picture.read_png(files[3])
    for kind in ("ppm", "png"):
        for name, why in (("/nowhere/x", "No such file"), ("/dev/full", "No space left")):
            error = client.error("screendump", filename=name, format=kind)
            assert error["class"] == "GenericError" and why in error["desc"]


def test_screen_to_a_file(hello):
    host = hello.host
    host.run("hyve86", "stop", VM)
    for name in ("s.png", "s.ppm", "s.txt"):
        result = host.run("hyve86", "screen", VM, name)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert picture.read_png(host.folder / "s.png") == picture.read_ppm(host.folder / "s.ppm")
    assert (host.folder / "s.txt").read_text(encoding="utf-8") == hello.screen()
    refused(host.run("hyve86", "screen", VM, "s.gif"), "s.gif", ".png")
    refused(host.run("hyve86", "screen", VM, "nowhere/s.png"), "nowhere/s.png: No such file")
    refused(host.run("hyve86", "screen", VM, "s.png", "t.png"), "usage")


def test_human_monitor(spin):
    client = spin.client()
    client.result("stop")
    text = client.result("human-monitor-command", command_line="info registers")
    lines = text.split("\r\n")
    assert lines[1] == "CPU#0"
    assert lines[2].startswith("EAX=") and lines[4].startswith("EIP=00007c")
    assert "ES =0000 00000000 0000ffff 00009300" in lines
    assert client.result("human-monitor-command", command_line="info status") == \
        "VM status: paused\r\n"
    assert client.result("human-monitor-command", command_line="nothing") == \
        "unknown command: 'nothing'\r\n"


def test_reset(hello):
    client = hello.client()
    client.result("send-key", keys=qcodes("a"))
    hello.wait_for("KEY a")
    assert client.result("system_reset") == {}
    assert client.wait_event("RESET")["data"] == \
        {"guest": False, "reason": "host-qmp-system-reset"}
    wait_until(lambda: hello.screen() == "HELLO FROM REAL MODE\n")


def test_powerdown(spin):
    """Success and an event, as on any board whose guest does not listen; the guest goes on."""
    client = spin.client()
    assert client.result("system_powerdown") == {}
    client.wait_event("POWERDOWN")
    assert client.result("query-status")["status"] == "running"


def test_session_by_socat(hello):
    """A person's session, typed all at once."""
    host = hello.host
    session = """
        {"execute": "qmp_capabilities"}
        {"execute": "query-status", "id": 1}
        {"execute": "stop", "id": 2}
        {"execute": "screendump", "arguments": {"filename": "%(folder)s/s.ppm"}, "id": 3}
        {"execute": "screendump",
         "arguments": {"filename": "%(folder)s/s.png", "format": "png"}, "id": 4}
        {"execute": "screendump", "arguments": {"filename": "%(folder)s/no/s.ppm"}, "id": 5}
        {"execute": "cont", "id": 6}
        {"execute": "send-key",
         "arguments": {"keys": [{"type": "qcode", "data": "a"}]}, "id": 7}
        {"execute": "system_powerdown", "id": 8}
        {"execute": broken
        {"execute": "quit", "id": 9}
    """ % {"folder": host.folder}
    result = subprocess.run(["socat", "-t10", "-", f"UNIX-CONNECT:{hello.path()}"],
                            input=session, capture_output=True, text=True, timeout=60,
                            check=True)
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    assert "QMP" in messages[0] and messages[1] == {"return": {}}
    answers = {message.get("id"): message for message in messages[2:] if "event" not in message}
    assert [event["event"] for event in messages if "event" in event] == \
        ["STOP", "RESUME", "POWERDOWN", "SHUTDOWN"]
    assert answers[1]["return"]["status"] == "running"
    for number in (2, 3, 4, 6, 7, 8, 9):
        assert answers[number]["return"] == {}
    assert "no/s.ppm: No such file" in answers[5]["error"]["desc"]
    assert "JSON" in answers[None]["error"]["desc"]
    assert picture.read_ppm(host.folder / "s.ppm") == picture.read_png(host.folder / "s.png")
    assert not (host.folder / "no").exists()
    assert hello.process.wait(timeout=10) == 0


def test_quit(spin):
    client, other = spin.client(), spin.client()
    assert client.result("quit") == {}
    for each in (client, other):
        assert each.wait_event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-qmp-quit"}
        assert each.ended()
    assert spin.process.wait(timeout=10) == 0
    assert spin.host.left() == []


def test_paused_guest_time_stands_still(hello):
    """Keys wait, and the guest's clock."""
    client = hello.client()
    client.result("stop")
    client.result("send-key", keys=qcodes("a"))
    time.sleep(0.3)
    assert "KEY" not in hello.screen()
    client.result("cont")
    hello.wait_for("KEY a")


def test_commands(hello):
    host = hello.host
    for command in ("stop", "cont"):
        result = host.run("hyve86", command, VM)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = host.run("hyve86", "type", VM, "xY<F1>")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    hello.wait_for("KEY . SCAN 3B")
    assert hello.screen().splitlines() == \
        ["HELLO FROM REAL MODE", "KEY x SCAN 2D", "KEY Y SCAN 15", "KEY . SCAN 3B"]
    refused(host.run("hyve86", "type", VM, "<nothing>"), VM, "nothing")
    assert host.run("hyve86", "reset", VM).returncode == 0
    wait_until(lambda: hello.screen() == "HELLO FROM REAL MODE\n")
    assert host.run("hyve86", "quit", VM).returncode == 0
    assert hello.process.wait(timeout=10) == 0
    refused(host.run("hyve86", "screen", VM), VM, "no such VM")


def test_commands_on_a_vm_that_does_not_run(host):
    host.run("vmmctl", "--create", f"--vm={VM}")
    for command in ("screen", "stop", "cont", "reset", "quit"):
        refused(host.run("hyve86", command, VM), VM, "does not run")
        assert host.run("hyve86", command, "-h").stdout.startswith(f"usage: hyve86 {command} VM")
        refused(host.run("hyve86", command), "usage", command)
    refused(host.run("hyve86", "type", VM, "x"), VM, "does not run")
    refused(host.run("hyve86", "type", VM), "usage", "TEXT")


def test_bhyve_has_one_too(host):
    image = host.image("hello", 1 << 20)
    assert host.run("bhyvebiosload", "-m", 16, "-d", image, VM).returncode == 0
    runner = host.start("bhyve", "-m", 16, "-b", VM)
    wait_until((host.vms / VM / "control").exists)
    wait_until(lambda: "HELLO" in host.run("hyve86", "screen", VM).stdout)
    assert host.run("hyve86", "type", VM, "k").returncode == 0
    wait_until(lambda: "KEY k" in host.run("hyve86", "screen", VM).stdout)
    assert host.run("hyve86", "quit", VM).returncode == 0
    assert runner.wait(timeout=10) == 4 and "it can go on" in runner.communicate()[1]
    assert not (host.vms / VM / "control").exists()
    runner = host.start("bhyve", "-m", 16, "-b", VM)
    wait_until((host.vms / VM / "control").exists)
    wait_until(lambda: "KEY k" in host.run("hyve86", "screen", VM).stdout)


def test_bhyve_without_a_board(host):
    # inc eax; jmp $-1
    assert host.run("bhyvebiosload", "-m", 16, "-h", host.pseudobios(bytes.fromhex("6640 ebfc")),
                    VM).returncode == 0
    runner = host.start("bhyve", "-m", 16, "-b", VM)
    path = host.vms / VM / "control"
    wait_until(path.exists)
    client = Client(path)

    def eax():
        text = client.result("human-monitor-command", command_line="info registers")
        return text[text.index("EAX="):].split()[0]

    assert client.result("query-status")["running"] is True
    before = eax()
    wait_until(lambda: eax() != before)
    client.result("stop")
    before = eax()
    time.sleep(0.1)
    assert eax() == before
    for command, arguments in (("system_reset", {}), ("screendump", {"filename": "x.txt"}),
                               ("send-key", {"keys": qcodes("a")})):
        assert "no board" in client.error(command, **arguments)["desc"]
    client.result("cont")
    wait_until(lambda: eax() != before)
    assert client.result("quit") == {}
    client.wait_event("SHUTDOWN")
    assert runner.wait(timeout=10) == 4


def test_long_folder_names(host):
    """A socket's path has 108 bytes at most; a VM's folder may be deeper."""
    host.vms = pathlib.Path(host.folder, *10 * ["a-long-name-for-a-folder"], "vms")
    host.vms.parent.mkdir(parents=True)
    host.env["HYVE86_DIR"] = str(host.vms)
    host.start("hyve86", "boot", "--console", "none", "--name", VM,
               "--timeout", "60", GUESTS / "spin.img")
    wait_until((host.vms / VM / "control").exists)
    assert host.run("hyve86", "stop", VM).returncode == 0
    shutil.rmtree(host.vms / VM, ignore_errors=True)
