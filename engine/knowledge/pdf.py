"""The text of PDFs, page by page, with a limit on time, memory and pages that a hostile file cannot pass."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from engine.errors import Cancelled
from engine.knowledge.note import Note, Part, Unreadable

MOST_PAGES = 2_000
MOST_S = 60.0
"""For one file. What was read until then is kept."""


class PdfReading:
    """Reads PDFs in one process that is started with the first and replaced when a file broke it. Close it."""

    def __init__(self, *, most_s: float = MOST_S, most_pages: int = MOST_PAGES) -> None:
        self._most_s = most_s
        self._most_pages = most_pages
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def __enter__(self) -> "PdfReading":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._process = None

    def read(self, path: Path, stop: Callable[[], bool] | None = None) -> Note:
        """The pages that have text. Raises `Unreadable` where there is none, `Cancelled` once `stop()` says so."""
        until = time.monotonic() + self._most_s
        parts: list[Part] = []
        skipped: list[int] = []
        self._ask(path)
        while True:
            try:
                message = self._answers.get(timeout=0.1)
            except queue.Empty:
                if stop is not None and stop():
                    self.close()
                    raise Cancelled("Stopped.") from None
                if time.monotonic() < until:
                    continue
                self.close()
                return _cut_short(path, parts, f"takes longer than {self._most_s:.0f} seconds")
            if message is None:
                self.close()
                return _cut_short(path, parts, "is a damaged PDF: reading it ended the process that did")
            if "text" in message:
                parts.append(Part(str(message["text"]), page=int(message["page"])))
            elif "skipped" in message:
                skipped.append(int(message["skipped"]))
            else:
                break
        if message["problem"]:
            return _cut_short(path, parts, str(message["problem"]))
        problem = f"stops at page {self._most_pages:,} of {message['pages']:,}"
        if message["pages"] <= self._most_pages:
            problem = f"lacks {_pages(skipped)}: damaged" if skipped else ""
        return Note(path.name, tuple(parts), problem=problem)

    def _ask(self, path: Path) -> None:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        assert self._process is not None and self._process.stdin is not None
        question = json.dumps({"path": str(path.absolute()), "most_pages": self._most_pages})
        with contextlib.suppress(OSError):  # then it has ended, which the answers tell
            self._process.stdin.write(question.encode() + b"\n")
            self._process.stdin.flush()

    def _start(self) -> None:
        # `-P` keeps the folder the user happens to be in off the import path; the package's own folder must be on it.
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.knowledge.pdf_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl+C is the business of the process that asked
        )
        self._answers = queue.Queue()
        assert self._process.stdout is not None
        threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True).start()


def _listen(stream: IO[bytes], answers: "queue.Queue[dict[str, Any] | None]") -> None:
    """Hand on what the process says; `None` once it says nothing more."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            answers.put(json.loads(line))
    answers.put(None)


def _cut_short(path: Path, parts: list[Part], problem: str) -> Note:
    if not parts:
        raise Unreadable(problem)
    return Note(path.name, tuple(parts), problem=f"stops at page {parts[-1].page}: it {problem}")


def _pages(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"page{'s' * (len(numbers) > 1)} {shown}"
