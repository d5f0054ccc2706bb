"""A program in a pseudo-terminal, watched by its output."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LAST_BYTES = 8000
"""Of the output that is told where a program ended by itself: a traceback with its frame takes that much."""

FINETUI = str(Path(sys.executable).with_name("finetui"))


class Terminal:
    """Runs `argv` in a terminal of `columns`×`rows`; a context manager that kills it at the end."""

    def __init__(self, argv: list[str], home: Path, *, columns: int = 120, rows: int = 36) -> None:
        environment = os.environ | {"FINETUI_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._last = b""
        self.received = 0
        """Bytes that the program has written and that were read here."""
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True, close_fds=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):  # it has ended and was waited for
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._master)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, text: bytes, timeout_s: float = 60.0) -> float:
        """Seconds until `text` comes out, counted from the call. Raises `TimeoutError`."""
        return self.wait_until(lambda seen: text in seen, timeout_s)

    def wait_until(self, done: Callable[[bytes], bool], timeout_s: float = 60.0) -> float:
        """Seconds until what has come out since the call is what `done` wants. Raises `TimeoutError`."""
        began = time.perf_counter()
        seen = b""
        while (waited := time.perf_counter() - began) < timeout_s:
            ready, _, _ = select.select([self._master], [], [], 0.05)
            if ready:
                try:
                    seen += self._read()
                except EOFError as error:
                    raise TimeoutError(str(error)) from error
                if done(seen):
                    return time.perf_counter() - began
        raise TimeoutError(f"not within {waited:.0f} s: {seen[-500:]!r}")

    def drain(self, quiet_s: float = 0.2) -> int:
        """Read until nothing has come for `quiet_s`; returns the bytes read."""
        count = 0
        while select.select([self._master], [], [], quiet_s)[0]:
            count += len(self._read())
        return count

    def settle(self, seconds: float) -> int:
        """Read whatever comes for so long; returns the bytes read."""
        until = time.perf_counter() + seconds
        count = 0
        while (left := until - time.perf_counter()) > 0:
            if select.select([self._master], [], [], left)[0]:
                count += len(self._read())
        return count

    def read_now(self) -> None:
        """Read what is there already."""
        while select.select([self._master], [], [], 0)[0]:
            self._read()

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def _read(self) -> bytes:
        """Raises `EOFError`, with the last that came, where the program has ended."""
        try:
            read = os.read(self._master, 1 << 16)
        except OSError as error:
            raise EOFError(f"the program ended: {self._last[-LAST_BYTES:].decode(errors='replace')!r}") from error
        self.received += len(read)
        self._last = self._last[-LAST_BYTES:] + read
        return read
