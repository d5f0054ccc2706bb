"""Records as the JSON documents that scripts rely on. Keys are a contract: more may be added, none taken away."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.datasets.preview import ImportPreview
    from engine.datasets.rows import Row, Turn
    from engine.datasets.versions import Made
    from engine.insight.doctor import Check
    from engine.insight.failures import Failure
    from engine.insight.promises import Promises
    from engine.models import ModelInfo
    from engine.presets import Preset
    from engine.runs.compare import Comparison
    from engine.tokens import Rendered
    from store.records import Attempt, Dataset, EventRow, Latest, Run, Series


def run_document(run: "Run") -> dict[str, Any]:
    """A run. Times are unix seconds, `progress` is 0 to 1; `stalled` is since when nothing is heard of a live run."""
    return {
        "id": run.id,
        "name": run.name,
        "status": str(run.status),
        "reason": run.reason,
        "model": run.model,
        "method": run.method,
        "dataset": run.dataset,
        "dataset_id": run.dataset_id,
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
        "attempt": run.attempt,
        "step": run.step,
        "total_steps": run.total_steps,
        "progress": run.progress,
        "eta_s": run.eta_s,
        "phase": run.phase,
        "best_step": run.best_step,
        "metrics": {name: latest_document(latest) for name, latest in sorted(run.metrics.items())},
        "peak_vram_bytes": run.peak_vram_bytes,
        "tokens_per_s": run.tokens_per_s,
        "cost": run.cost,
        "win_rate": run.win_rate,
        "win_votes": run.win_votes,
        "figures": run.figures,
        "tags": list(run.tags),
        "notes": run.notes,
        "alerts": run.alerts,
        "warnings": run.warnings,
        "failure_code": run.failure or None,
        "stalled": run.stalled,
        "recipe": run.recipe,
        "dir": run.dir,
    }


def latest_document(latest: "Latest") -> dict[str, Any]:
    """What a metric came to: its last value and extremes, and the steps they are from."""
    return {
        "last": latest.last,
        "min": latest.min,
        "max": latest.max,
        "step": latest.step,
        "min_step": latest.min_step,
    }


def failure_document(failure: "Failure") -> dict[str, Any]:
    """Why a run ended and the way on: `changes` are recipe fields, `action` is `launch`, `resume` or `edit`."""
    return {
        "code": failure.code.value,
        "title": failure.title,
        "why": failure.why,
        "suggestion": failure.suggestion,
        "changes": failure.changes,
        "action": failure.action.value,
        "offer": failure.offer,
        "question": failure.question,
    }


def run_detail_document(
    run: "Run",
    attempts: Sequence["Attempt"],
    alerts: Sequence["EventRow"],
    problems: Sequence[tuple[int, str]],
    failure: "Failure | None",
    promises: "Promises",
) -> dict[str, Any]:
    """A run with its attempts, its alerts, the damaged lines of its event log, why it ended, and what was promised."""
    return run_document(run) | {
        "failure": failure_document(failure) if failure else None,
        "attempts": [
            {
                "number": attempt.number,
                "started": attempt.started,
                "ended": attempt.ended,
                "status": str(attempt.status),
                "reason": attempt.reason,
                "from_step": attempt.from_step,
            }
            for attempt in attempts
        ],
        "alert_events": [{"t": row.t, "attempt": row.attempt, **row.body} for row in alerts],
        "log_problems": [{"offset": offset, "problem": text} for offset, text in problems],
        "promises": asdict(promises),
    }


def series_document(series: "Series", latest: "Latest | None") -> dict[str, Any]:
    """One metric's points; `low` and `high` are the extremes of what a point stands for where it was thinned."""
    return {
        "steps": series.steps,
        "values": series.values,
        "low": series.low,
        "high": series.high,
        "times": series.times,
        **(latest_document(latest) if latest else {}),
    }


def dataset_document(dataset: "Dataset", card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A dataset version, with what its card says where that is given. `grade` is null until it has been graded."""
    from engine.datasets.rows import kind_of

    card = card or {}
    return {
        "id": dataset.id,
        "name": dataset.name,
        "version": dataset.version,
        "shape": dataset.shape,
        "kind": kind_of(dataset.shape),
        "rows": dataset.rows,
        "splits": dataset.splits,
        "tokens": dataset.tokens,
        "parent": dataset.parent,
        "parents": card.get("parents") or [],
        "operation": card.get("operation") or (None if dataset.parent else {"kind": "import"}),
        "source": dataset.source,
        "created": dataset.created,
        "problems": card.get("problems") or [],
        "warnings": list(dataset.warnings),
        "grade": dataset.grade or None,
        "dir": dataset.dir,
    }


def problem_documents(problems: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows that cannot be used: `row` counts from 1, `field` is where, `problem` what."""
    return [{"row": item.row, "field": item.field, "problem": item.problem} for item in problems]


def row_document(row: "Row") -> dict[str, Any]:
    """One row of a dataset: `row` counts from 1, `index` from 0. What a row does not have is left out."""
    document: dict[str, Any] = {
        "row": row.index + 1,
        "index": row.index,
        "split": row.split,
        "messages": [turn_document(turn) for turn in row.messages],
    }
    if row.chosen or row.rejected:
        document["chosen"] = [turn_document(turn) for turn in row.chosen]
        document["rejected"] = [turn_document(turn) for turn in row.rejected]
    if row.label is not None:
        document["label"] = row.label
    if row.tools:
        document["tools"] = _parsed(row.tools)
    return document | {"metadata": row.metadata}


def turn_document(turn: "Turn") -> dict[str, Any]:
    """One turn; `tool_calls` are `{"name", "arguments"}` each."""
    document: dict[str, Any] = {"role": turn.role, "content": turn.content}
    return document | {"tool_calls": _parsed(turn.calls)} if turn.calls else document


def _parsed(text: str) -> Any:
    """What a text of JSON holds; the text itself where it holds none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def preview_document(preview: "ImportPreview", first: int) -> dict[str, Any]:
    """What an import would make of a source; `problems` are of the first `checked` rows."""
    return {
        "shape": preview.shape,
        "confidence": preview.confidence,
        "unsure": preview.unsure,
        "reasons": preview.reasons,
        "mapping": preview.mapping,
        "columns": [asdict(column) for column in preview.columns],
        "format": preview.format,
        "rows": preview.rows_total,
        "checked": preview.checked,
        "splits": preview.splits,
        "placeholders": preview.placeholders,
        "problems": problem_documents(preview.problems),
        "first": [row_document(row) for row in preview.first[:first]],
    }


def rendered_document(rendered: "Rendered") -> dict[str, Any]:
    """A row as the model sees it: its text, and every token with whether it is trained, cut off, or special.

    Of a preference pair that is the chosen answer; `rejected` is the same of the other, and null for other rows.
    """
    return {
        "template": rendered.template,
        "text": rendered.text,
        "total": rendered.total,
        "trained": rendered.trained,
        "cut": rendered.cut,
        "warnings": rendered.warnings,
        "tokens": [asdict(token) for token in rendered.tokens],
        "rejected": rendered_document(rendered.rejected) if rendered.rejected else None,
    }


def made_document(made: "Made", card: Mapping[str, Any]) -> dict[str, Any]:
    """A version that was made of others: its rows `before` and `after`, and whether it is `new`."""
    return dataset_document(made.dataset, card) | {"before": made.before, "after": made.after, "new": made.new}


def model_document(model: "ModelInfo") -> dict[str, Any]:
    return {key: str(value) if key == "path" and value is not None else value for key, value in asdict(model).items()}


def preset_document(preset: "Preset") -> dict[str, Any]:
    return {"name": preset.name, "description": preset.description, "values": preset.values, "problem": preset.problem}


def check_document(check: "Check") -> dict[str, Any]:
    return {"name": check.name, "ok": check.ok, "found": check.found, "fix": check.fix}


def comparison_document(comparison: "Comparison") -> dict[str, Any]:
    """Runs side by side: lists have one entry a run, in the order of `runs`; `best` is an index into them."""
    return {
        "runs": [run_document(run) for run in comparison.runs],
        "differing": comparison.differing,
        "metrics": comparison.metrics,
        "best": comparison.best,
        "sentence": comparison.sentence,
    }
