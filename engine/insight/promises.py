"""What was said of a run before it began, and what came of it: plan, rehearsal, proof of the adapter."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.runs.rundir import RunDir, read_json
from store import Store
from store.records import Run


@dataclass(frozen=True)
class Promises:
    """All of it may be missing: older runs were not planned, others not rehearsed, or have not ended."""

    planned_bytes: int | None = None
    planned_s: float | None = None
    planned_spread_s: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    """Why the planner chose what it chose, by field."""
    rehearsal: dict[str, Any] = field(default_factory=dict)
    """The last `rehearsal` event."""
    adapter_effect: dict[str, Any] = field(default_factory=dict)
    """What the published adapter changes: `max_logit_change`, `mean_kl`, `probes`; see docs/events.md."""


def read_promises(store: Store, run: Run) -> Promises:
    """Reads the store and the run's folder: use it from a thread."""
    inputs = read_json(RunDir(Path(run.dir)).inputs)
    plan = _table(inputs, "plan")
    rehearsals = store.runs.events(run.id, ["rehearsal"], limit=1)
    ends = store.runs.events(run.id, ["end"], limit=1)
    return Promises(
        planned_bytes=_table(plan, "memory_bytes").get("total"),
        planned_s=plan.get("time_s"),
        planned_spread_s=plan.get("time_spread_s"),
        reasons={name: str(text) for name, text in _table(_table(plan, "plan"), "reasons").items()},
        rehearsal=dict(rehearsals[-1].body) if rehearsals else {},
        adapter_effect=_table(_table(ends[-1].body, "summary"), "adapter_effect") if ends else {},
    )


def _table(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
