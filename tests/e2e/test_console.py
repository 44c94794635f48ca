"""The full-screen console, on a terminal of the test's own."""

import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from conftest import BUILD, GUEST_OK, GUESTS


class Terminal:
    """hyve86 boot on a pseudo-terminal of 80 columns and 30 rows."""

    def __init__(self, host, *args):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (30, 80))
        self.before = termios.tcgetattr(slave)
        self.shown = b""
        self.process = subprocess.Popen(
            [BUILD / "hyve86", "boot", "--engine", "soft", "--debug-exit", "0xf4",
             "--timeout", "30", *args],
            stdin=slave, stdout=slave, stderr=slave, env={**host.env, "TERM": "xterm-256color"})
        os.close(slave)
        host.started.append(self.process)

    def wait_for(self, text):
        """Read what is drawn until TEXT is there in one piece."""
        end = time.monotonic() + 20
        while text not in self.shown:
            assert time.monotonic() < end, self.shown[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                self.shown += os.read(self.master, 65536)

    def type(self, keys):
        os.write(self.master, keys)

    def ended(self):
        """The status, after checking that the terminal is as it was."""
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0.1)[0]:
            try:
                self.shown += os.read(self.master, 65536)
            except OSError:  # no process has the terminal open any more
                break
        assert termios.tcgetattr(self.master) == self.before
        assert b"\x1b[?1049l" in self.shown  # out of the terminal's second screen
        return self.process.returncode


@pytest.fixture
def terminal(host):
    terminal = Terminal(host, GUESTS / "hello.img")
    terminal.wait_for(b"HELLO FROM REAL MODE")
    yield terminal
    os.close(terminal.master)


def test_keys_and_the_guests_end(terminal):
    terminal.type(b"a")
    terminal.wait_for(b"KEY a SCAN 1E")
    terminal.type(b"\x1bOP")  # F1
    terminal.wait_for(b"SCAN 3B")
    terminal.type(b"q")
    assert terminal.ended() == GUEST_OK


def test_leaving(terminal):
    terminal.type(b"\x1d")  # Ctrl-]
    assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_restore_the_terminal(terminal, number):
    terminal.process.send_signal(number)
    assert terminal.ended() != GUEST_OK
