"""What a suite run's process leaves beside the store: a lock while it is at work, what it is doing, how it ended."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine.home import Home
from engine.runs.driver_folder import DriverDir
from engine.runs.rundir import write_json


@dataclass(frozen=True)
class SuiteDir(DriverDir):
    """`suites/<id>` of a home. `doing` has `done`, `total`, `errors` and `eta_s`."""

    taken: ClassVar[str] = "The suite run {} is being asked already."
    driver: ClassVar[str] = "engine.suites.driver"

    @classmethod
    def of(cls, home: Home, suite_run: str) -> "SuiteDir":
        return cls(home.root / "suites" / suite_run)

    @property
    def prompts(self) -> Path:
        """JSON: the suite's name and prompts as they are asked."""
        return self.path / "prompts.json"

    def say(self, **what: Any) -> None:
        """Record what is being done."""
        write_json(self.doing, what)
