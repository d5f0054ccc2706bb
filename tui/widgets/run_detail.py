"""What stands over the tabs of a run's screen, read from the store and the run's folder in one go, in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.evaluation.targets import TargetResult
    from engine.insight.diagnosis import Finding
    from engine.insight.failures import Failure
    from store import Store
    from store.records import EventRow, Run


@dataclass(frozen=True)
class Detail:
    """The run, and what asks for attention."""

    run: "Run"
    failure: "Failure | None"
    """Why it ended other than well."""
    suspended: int | None
    """The pid of its command, where that is suspended."""
    findings: "list[Finding]"
    """What was found out from its figures and nobody dismissed, the worst first."""
    alert: "EventRow | None"
    """The newest one."""
    targets: "Sequence[TargetResult]" = ()
    """How the run stands to what the project states."""
    target_problem: str = ""
    """Why that is not understood."""


def read_detail(store: "Store", run_id: str) -> Detail | None:
    """The detail of a run, `None` where it is gone."""
    run = store.runs.get(run_id)
    if run is None:
        return None
    alerts = store.runs.events(run_id, ["alert"], limit=1) if run.alerts else []
    return Detail(
        run,
        _failure(store, run),
        _suspended(run),
        read_findings(store, run),
        alerts[-1] if alerts else None,
    )


def _failure(store: "Store", run: "Run") -> "Failure | None":
    """Imports what it needs (pydantic among it) only where there is something to explain: most runs are well."""
    if run.source or run.status.live or run.status == "succeeded":
        return None
    from engine.insight.failures import failure_of

    return failure_of(store, run)


def _suspended(run: "Run") -> int | None:
    if run.stalled is None:
        return None
    from engine.insight.stalled import suspended_pid
    from engine.runs.rundir import RunDir

    return suspended_pid(RunDir(Path(run.dir)))


def read_findings(store: "Store", run: "Run") -> "list[Finding]":
    """What was found out about the run and nobody dismissed, the worst first. Call it in a thread."""
    if not run.finding:
        return []
    from engine.insight.diagnosis import finding_of

    return [finding_of(row) for row in store.findings.of(run.id) if row.dismissed is None]
