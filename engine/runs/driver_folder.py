"""The folder of work that a driver does: a process of its own, which outlives the terminal, and what it leaves there.

A lock for as long as somebody is at work, a file that asks for an end, what is being done, how it ended, the log.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.backends.local import own_environment
from engine.runs.claim import WAIT, claimed, is_taken
from engine.runs.rundir import read_json, write_json


class Stage(StrEnum):
    """The closed set of how such work can stand."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class DriverDir:
    """A folder that a driver works in."""

    path: Path

    taken: ClassVar[str]
    """What is said while another is at work, with `{}` for the folder's name."""
    driver: ClassVar[str]
    """The driver's module. It is given the home, the folder's name and the claim on it."""

    @property
    def lock(self) -> Path:
        """Locked for as long as the driver, or a process that it has left behind, lives."""
        return self.path / "lock"

    @property
    def stop(self) -> Path:
        """There where the driver is to end."""
        return self.path / "stop"

    @property
    def doing(self) -> Path:
        """JSON: what is being done, in words, and how far it is."""
        return self.path / "doing.json"

    @property
    def exit(self) -> Path:
        """JSON: when the last driver ended, and the `error` it ended with."""
        return self.path / "exit.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    def busy(self) -> bool:
        """Whether somebody is at work now."""
        return is_taken(self.lock)

    @property
    def left(self) -> tuple[Path, ...]:
        """What an earlier driver may have left that is over once another begins."""
        return (self.stop, self.exit)

    @contextmanager
    def begun(self) -> Iterator[int]:
        """The claim on the folder, which is made where there is none, and rid of what an earlier driver left.

        For as long as it takes to drive, or to start a driver. Raises `BadInput` while another process has it,
        `FinetuiError` where nothing can be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FinetuiError(f"{self.path} cannot be made.", why=f"The system says: {error.strerror}.") from error
        with claimed(self.lock, self._taken) as claim:
            for old in self.left:
                old.unlink(missing_ok=True)
            yield claim

    def require_idle(self) -> None:
        """Raises `BadInput` while somebody is at work."""
        if self.busy():
            raise BadInput(self._taken, fix=WAIT)

    def start(self, home: Home, claim: int) -> "subprocess.Popen[bytes]":
        """The driver, in a session of its own, its output in the log. It is handed the claim that `begun` gives.

        Raises `FinetuiError` where it cannot be started.
        """
        try:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    # -P: what lies in the working directory cannot stand in for a module.
                    [sys.executable, "-P", "-m", self.driver, str(home.root), self.path.name, str(claim)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(claim,),
                    start_new_session=True,
                    cwd=self.path,
                    env=own_environment(),
                )
        except OSError as error:
            raise FinetuiError(
                "The process that does it could not be started.", why=f"The system says: {error.strerror or error}."
            ) from error

    def finish(self, error: FinetuiError | None) -> None:
        """Record how the driver ended."""
        told = {"what": error.what, "why": error.why, "fix": error.fix} if error is not None else None
        write_json(self.exit, {"ended": time.time(), "error": told})

    def read(self, path: Path) -> dict[str, Any]:
        """The JSON object in `path`; empty where there is none."""
        found = read_json(path)
        return found if isinstance(found, dict) else {}

    @property
    def _taken(self) -> str:
        return self.taken.format(self.path.name)


def words_of(error: Mapping[str, Any]) -> str:
    """An error that was recorded, in words; empty where there is none."""
    return " ".join(str(error[part]) for part in ("what", "why", "fix") if error.get(part))
