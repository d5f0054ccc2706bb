"""The processes that a soak kills, besides those of the runs: actors, and the app in a terminal."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.terminal import FINETUI, Terminal
from engine.home import Home

PROJECT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0


class Actor:
    """One `actor.py`."""

    def __init__(self, home: Home, worker: list[str], complaints: Path) -> None:
        self._complaints = complaints
        with complaints.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.soak.actor", str(home.root), "--", *worker],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        self._is_ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **wish: Any) -> None:
        """Say what is to be done. The first time this waits until it is ready."""
        assert self._process.stdin is not None
        if not self._is_ready:
            assert self.answer() == {"ready": True}
            self._is_ready = True
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()

    def answer(self, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """What it says to the wish before; empty when it says nothing in time. Raises `RuntimeError` where it ended."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], patience_s)[0]:
            return {}
        line = self._process.stdout.readline()
        if not line:
            last_words = self._complaints.read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"an actor ended by itself, with code {self._process.wait()}: {last_words}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> dict[str, Any]:
        """Kill it. What it had still said."""
        self._process.kill()
        assert self._process.stdout is not None and self._process.stdin is not None
        said = self._process.stdout.read()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        lines = [line for line in said.split("\n")[:-1] if line]
        return json.loads(lines[-1]) if lines else {}


class App:
    """The app in a terminal whose output somebody reads."""

    def __init__(self, home: Home) -> None:
        self._terminal = Terminal([FINETUI], home.root)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._terminal.pid

    def press(self, keys: bytes) -> None:
        with suppress(OSError):
            self._terminal.press(keys)

    def kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self._reader.join(PATIENCE_S)
        with suppress(ProcessLookupError):
            self._terminal.__exit__(None, None, None)

    def _read(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                self._terminal.settle(1.0)
