"""What a suite run's process leaves beside the store: a lock while it is at work, what it is doing, how it ended."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.leases import try_lock
from engine.runs.rundir import read_json, write_json

SETTLE_S = 3.0
"""Who only looks whether somebody is at work holds the lock for a moment."""


@dataclass(frozen=True)
class SuiteDir:
    """`suites/<id>` of a home."""

    path: Path

    @classmethod
    def of(cls, home: Home, suite_run: str) -> "SuiteDir":
        return cls(home.root / "suites" / suite_run)

    @property
    def lock(self) -> Path:
        """Locked by the process that asks."""
        return self.path / "lock"

    @property
    def stop(self) -> Path:
        """There where the process is to end."""
        return self.path / "stop"

    @property
    def doing(self) -> Path:
        """JSON: `doing` in words, `done`, `total`, `errors`, `eta_s`."""
        return self.path / "doing.json"

    @property
    def exit(self) -> Path:
        """JSON: when the last process ended, and the `error` it ended with."""
        return self.path / "exit.json"

    @property
    def prompts(self) -> Path:
        """JSON: the suite's name and prompts as they are asked."""
        return self.path / "prompts.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    def busy(self) -> bool:
        """Whether a process is asking now."""
        if not self.lock.exists():
            return False
        held = try_lock(self.lock)
        if held is None:
            return True
        os.close(held)
        return False

    def take(self) -> int:
        """The lock, to be closed by who asks. Raises `BadInput` while another process holds it."""
        give_up = time.monotonic() + SETTLE_S
        while (held := try_lock(self.lock)) is None:
            if time.monotonic() > give_up:
                raise self._taken()
            time.sleep(0.05)
        return held

    def begin(self) -> None:
        """A process is about to start: what an earlier one left is over. Raises `BadInput` while one is at work."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FinetuiError(f"{self.path} cannot be made.", why=f"The system says: {error.strerror}.") from error
        if self.busy():
            raise self._taken()
        for old in (self.stop, self.exit):
            old.unlink(missing_ok=True)

    def say(self, **what: Any) -> None:
        """Record what is being done."""
        write_json(self.doing, what)

    def end(self, error: FinetuiError | None) -> None:
        """Record how it ended."""
        told = {"what": error.what, "why": error.why, "fix": error.fix} if error is not None else None
        write_json(self.exit, {"ended": time.time(), "error": told})

    def read(self, path: Path) -> dict[str, Any]:
        found = read_json(path)
        return found if isinstance(found, dict) else {}

    def _taken(self) -> BadInput:
        return BadInput(
            f"The suite run {self.path.name} is being asked already.", fix="Wait for it to end, or stop it first."
        )
