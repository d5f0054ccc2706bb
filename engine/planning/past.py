"""What was planned for runs that have been, as their folders keep it."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.runs.rundir import RunDir, read_json
from store.records import Run


def planned(run: Run) -> dict[str, Any]:
    """The document of the plan that the run was launched with; empty where it had none."""
    return _read(run.dir)


@lru_cache(maxsize=1024)
def _read(folder: str) -> dict[str, Any]:
    inputs = read_json(RunDir(Path(folder)).inputs)  # they never change
    plan = inputs.get("plan") if isinstance(inputs, dict) else None
    return plan if isinstance(plan, dict) else {}
