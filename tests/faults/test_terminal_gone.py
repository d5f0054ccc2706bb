"""The terminal vanishes under the app, and nobody tells it: no signal, only the end of its input."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time

import pytest

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home

END_S = 30.0
IGNORING = 'trap "" HUP; exec "$0"'


def test_row_2_an_app_that_is_told_to_end_gives_the_terminal_back(home: Home) -> None:
    with Terminal([FINETUI], home.root) as terminal:
        terminal.wait_for(b"No runs yet")

        def echoes() -> bool:
            return bool(termios.tcgetattr(terminal._master)[3] & termios.ECHO)

        assert not echoes()
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.wait_for(b"\x1b[?1049l")
        assert terminal._process.wait(END_S) == 128 + signal.SIGTERM
        assert echoes()


@pytest.mark.parametrize("settle_s", [0.3, 1.5], ids=["while-starting", "when-settled"])
def test_row_2_an_app_without_a_terminal_ends_by_itself(home: Home, settle_s: float) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    environment = os.environ | {"FINETUI_HOME": str(home.root), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        ["/bin/sh", "-c", IGNORING, FINETUI],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    try:
        seen = b""
        while b"finetui" not in seen:
            seen += os.read(master, 1 << 16)
        until = time.monotonic() + settle_s
        os.set_blocking(master, False)
        while time.monotonic() < until:
            try:
                os.read(master, 1 << 16)
            except BlockingIOError:
                time.sleep(0.02)
        os.close(master)
        assert process.wait(END_S) is not None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
