"""A process that works for this one: its output in a file, a session of its own, ended as a group."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG_TAIL_LINES = 12
STOP_S = 5.0
"""So long it may take to end by itself."""


class LoggedProcess:
    """`command` at work, with what it writes in the file `log`."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the app; it ends the process itself
            )
        finally:
            os.close(descriptor)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines that it wrote; of a progress bar only its last state."""
        try:
            written = self.log.read_bytes().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        kept = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in written if line.strip()]
        return "\n".join(kept[-lines:])

    def last_words(self) -> str:
        """Why it ended: by which signal, else the end of its log."""
        code = self._process.poll() or 0
        number = -code if code < 0 else code - 128  # the second, where a shell or the leash stands between
        if number <= 0:
            return self.log_tail()
        try:
            name = signal.Signals(number).name
        except ValueError:
            return self.log_tail()
        likely = " The system does that when memory runs out." if number == signal.SIGKILL else ""
        return f"It was killed from outside ({name}).{likely}"

    def wait_end(self, seconds: float) -> None:
        """Wait for its end, at most so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def stop(self) -> None:
        """End it and what it started, within a few seconds."""
        if self.alive:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)  # its session is a group of its own
