"""A sweep's folder: its paths, and what its driver reports of the trials."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.runs.rundir import read_json, write_json
from engine.sweeps.spec import SweepSpec
from engine.toml import read_toml


class TrialState(StrEnum):
    """What became of a trial."""

    RUNNING = "running"
    """Its run waits, trains, or was stopped with the sweep and will be resumed with it."""
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """One trial as its driver last knew it. `value` is the best of the metric so far, reached at `step`."""

    number: int
    """From 0; its run is called NAME-01 for 0."""
    params: dict[str, Any]
    state: TrialState
    value: float | None = None
    step: int | None = None
    run_id: str = ""
    reason: str = ""
    """Why it was pruned or failed."""


@dataclass(frozen=True)
class SweepDir:
    """`sweeps/<id>/`: the truth about a sweep."""

    path: Path

    @property
    def spec(self) -> Path:
        """The spec, frozen when it was started."""
        return self.path / "spec.toml"

    @property
    def about(self) -> Path:
        """JSON: `id`, `name`, `created`."""
        return self.path / "sweep.json"

    @property
    def study(self) -> Path:
        """Optuna's own storage, a SQLite file."""
        return self.path / "study.db"

    @property
    def trials(self) -> Path:
        """JSON: what the driver last knew of each trial, for readers without optuna."""
        return self.path / "trials.json"

    @property
    def process(self) -> Path:
        return self.path / "process.json"

    @property
    def exit(self) -> Path:
        """JSON: `status`, `reason`, `ended`. Written when the driver ends."""
        return self.path / "exit.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def stop(self) -> Path:
        """Its being there asks the driver to stop the trials at work and end."""
        return self.path / "stop"

    @property
    def lock(self) -> Path:
        """Held by the driver: there is one at a time."""
        return self.path / ".lock"

    def read_spec(self) -> SweepSpec:
        """Raises `BadInput` where it cannot be read."""
        try:
            return SweepSpec.model_validate(read_toml(self.spec))
        except (OSError, ValueError) as error:  # of another version, or damaged: it was whole when it was written
            raise BadInput(f"The sweep's spec {self.spec} cannot be read.", why=str(error)) from error

    def read_trials(self) -> list[Trial]:
        """The trials in order; none before the driver has reported one."""
        found = read_json(self.trials)
        try:
            return [Trial(**item | {"state": TrialState(item["state"])}) for item in found or ()]
        except (KeyError, TypeError, ValueError):
            return []

    def write_trials(self, trials: list[Trial]) -> None:
        write_json(self.trials, [asdict(trial) for trial in trials])


@dataclass(frozen=True)
class Ending:
    """How a driver ended: `exit.json`."""

    status: str
    reason: str = ""
    ended: float = field(default=0.0)
