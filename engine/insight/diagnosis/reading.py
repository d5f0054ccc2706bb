"""Diagnosis of runs in the store, and findings as the store keeps them."""

from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.insight.diagnosis.curves import Curves
from engine.insight.diagnosis.diagnose import diagnose
from engine.insight.diagnosis.records import LEVELS, Act, Evidence, Finding
from engine.runs.rundir import RunDir, checkpoint_step, read_json

if TYPE_CHECKING:
    from store import Store
    from store.records import FindingRow, Run

REPORT = "report.json"
"""Beside the rows of a dataset: see `engine.datasets.library`, which is too much to import for a name."""

POINTS = 400
"""Points of a metric that are looked at: more do not change what a curve looks like."""

_LOOKED_AT = ("train/", "eval/", "gpu", "system/host_memory_percent")


def curves_of(store: "Store", run: "Run") -> Curves:
    """The run's curves, thinned, and its facts. Reads the store and the run's folder: call it in a thread."""
    curves = Curves(
        step=run.step,
        total_steps=run.total_steps,
        status=str(run.status),
        failure=run.failure,
        recipe=run.recipe,
        best_step=run.best_step,
        source=run.source,
    )
    for name in store.metrics.names(run.id):
        if name.startswith(_LOOKED_AT):
            series = store.metrics.series(run.id, name, max_points=POINTS)
            if series is not None:
                curves.metrics[name] = list(zip(series.steps, series.values, strict=True))
    for event in store.runs.events(run.id, ["plan"], limit=1):
        curves.take({"kind": "plan", **event.body})
    curves.total_steps = run.total_steps or curves.total_steps
    epochs = curves.metrics.get("train/epoch")
    curves.epoch = epochs[-1][1] if epochs else None
    rundir = RunDir(Path(run.dir))
    curves.checkpoints = tuple(checkpoint_step(folder) for folder in rundir.committed_checkpoints())
    dataset = store.datasets.get(run.dataset_id) if run.dataset_id else None
    if dataset is not None:
        if curves.eval_rows is None:
            curves.eval_rows = dataset.splits.get("validation", 0)
        if curves.train_rows is None:
            curves.train_rows = dataset.splits.get("train")
        curves.leaking_rows = _leaking(read_json(Path(dataset.dir) / REPORT))
    return curves


def diagnose_run(store: "Store", run: "Run") -> list[Finding]:
    """What the figures of a run in the store show, the worst first. Call it in a thread."""
    return diagnose(curves_of(store, run))


def row_of(finding: Finding, run_id: str, now: float) -> "FindingRow":
    """The finding as the store keeps it; `now` (unix seconds) is when it was found."""
    from store.records import FindingRow

    body = plain(finding)
    for name in ("code", "level", "step"):
        del body[name]
    return FindingRow(run_id, finding.code, finding.level, finding.step, now, None, body)


def plain(finding: Finding) -> dict[str, Any]:
    """The finding as JSON has it: lists, and strings for numbers that JSON lacks."""
    told = asdict(finding)
    told["evidence"] = [
        {**one, "steps": list(one["steps"]), "values": [_strict(value) for value in one["values"]]}
        for one in told["evidence"]
    ]
    told["acts"] = [{**one, "changes": dict(one["changes"])} for one in told["acts"]]
    return told


def finding_of(row: "FindingRow") -> Finding:
    """What `row_of` made the row of. What a row of another version lacks is left empty."""
    body = row.body
    return Finding(
        row.code,
        next((level for level in LEVELS if level == row.level), "info"),
        str(body.get("title", row.code)),
        str(body.get("why", "")),
        float(body.get("confidence", 0.0)),
        row.step,
        tuple(
            Evidence(one["metric"], tuple(one["steps"]), tuple(map(float, one["values"])), one["words"])
            for one in _list(body, "evidence")
        ),
        tuple(
            Act(one["code"], one["offer"], dict(one["changes"]), one["from_step"], one["question"])
            for one in _list(body, "acts")
        ),
    )


def _strict(value: float) -> float | str:
    return value if isfinite(value) else str(value)


def _list(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _leaking(report: Any) -> int | None:
    """Rows kept back that training has too, by the dataset's report."""
    checks = report.get("checks") if isinstance(report, dict) else None
    if not isinstance(checks, list):
        return None
    leaks = [one for one in checks if isinstance(one, dict) and str(one.get("code", "")).startswith("leak-")]
    counts = [one.get("count") for one in leaks]
    return sum(count for count in counts if isinstance(count, int))
