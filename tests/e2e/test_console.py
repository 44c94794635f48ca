"""The full-screen console, on a terminal of the test's own."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time

import pyte
import pytest

from conftest import GUEST_OK, GUESTS

BOTH_ENGINES = True


def take_terminal():
    """Make standard input the terminal that this session is controlled by, as in a shell."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """hyve86 boot on a terminal of 80 columns and 30 rows, whose screen can be read."""

    def __init__(self, host, *args):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (30, 80))
        self.before = termios.tcgetattr(slave)
        self.screen = pyte.Screen(80, 30)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.process = subprocess.Popen(
            host.command("hyve86", ("boot", "--debug-exit", "0xf4", "--timeout", "30", *args)),
            stdin=slave, stdout=slave, stderr=slave, env={**host.env, "TERM": "linux"},
            start_new_session=True, preexec_fn=take_terminal)
        os.close(slave)
        host.started.append(self.process)

    def read(self):
        """Take in what was written; False if there is nothing, or no process writes any more."""
        if not select.select([self.master], [], [], 0.1)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # all others have closed the terminal
            return False
        self.written += data
        self.stream.feed(data)
        return True

    def wait_for(self, text):
        """Wait until a row of the screen has TEXT."""
        end = time.monotonic() + 20
        while not any(text in row for row in self.screen.display):
            assert time.monotonic() < end, self.screen.display
            self.read()

    def type(self, keys):
        os.write(self.master, keys)

    def ended(self):
        """The status, after checking that the terminal is as it was."""
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, self.screen.display
            self.read()
        while self.read():
            pass
        assert termios.tcgetattr(self.master) == self.before
        return self.process.returncode


@pytest.fixture
def terminal(host):
    terminal = Terminal(host, GUESTS / "hello.img")
    terminal.wait_for("HELLO FROM REAL MODE")
    yield terminal
    os.close(terminal.master)


def test_keys_and_the_guests_end(terminal):
    terminal.type(b"a")
    terminal.wait_for("KEY a SCAN 1E")
    terminal.type(b"\x1b[[A")  # F1
    terminal.wait_for("KEY . SCAN 3B")
    terminal.type(b"q")
    assert terminal.ended() == GUEST_OK


def test_leaving(terminal):
    terminal.type(b"\x1d")  # Ctrl-]
    assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_restore_the_terminal(terminal, number):
    terminal.process.send_signal(number)
    assert terminal.ended() != GUEST_OK
