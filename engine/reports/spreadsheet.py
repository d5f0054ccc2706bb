"""Tables for spreadsheets: one line a run, or one line a point."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from engine.figures import fmt_setting
from engine.reports.curves import chosen_metrics
from engine.reports.lanes import Lane, lanes_of
from engine.text import clean_line
from engine.withheld import open_settings, without_secrets
from store import Store
from store.records import LAST_STEP

_FORMULA = ("=", "+", "-", "@")
"""A text that begins so is a formula to a spreadsheet, which would run it."""

_POINT_COLUMNS = ("run", "run_id", "metric", "step", "epoch", "tokens", "time", "elapsed_s", "value")
_STRETCH_POINTS = 4096


def run_rows(store: Store, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> Iterator[str]:
    """CSV, one line a run: what it is, what it took, its settings (`cfg.…`), its metrics (`.last`, `.min`, `.max`).

    The names are those of the filter language.
    """
    lanes = lanes_of(store, run_ids)
    names = chosen_metrics(lanes, metrics)
    settings = [open_settings(lane.run.recipe) for lane in lanes]
    fields = list(dict.fromkeys(name for one in settings for name in one))
    facts = [_facts(lane) for lane in lanes]
    columns = [*facts[0], *(f"cfg.{name}" for name in fields)]
    columns += [f"{name}.{kind}" for name in names for kind in ("last", "min", "max")]
    yield _line(columns)
    for lane, own, about in zip(lanes, settings, facts, strict=True):
        figures: list[Any] = []
        for name in names:
            latest = lane.run.metrics.get(name)
            figures += (latest.last, latest.min, latest.max) if latest else (None, None, None)
        yield _line([*about.values(), *(_setting(own.get(name)) for name in fields), *figures])


def point_rows(store: Store, run_ids: Sequence[str], metrics: Sequence[str] | None = None) -> Iterator[str]:
    """CSV, one line a point, none left out: run, metric, step, epoch, tokens, time, seconds since the start, value."""
    lanes = lanes_of(store, run_ids)
    names = chosen_metrics(lanes, metrics)
    yield _line(_POINT_COLUMNS)
    for lane in lanes:
        run = lane.run
        for name in (name for name in names if name in run.metrics):
            first = 0
            while True:
                end = first + _STRETCH_POINTS - 1
                series = store.metrics.series(run.id, name, first_step=first, last_step=end)
                epochs = _at(store, run.id, "train/epoch", first, end)
                tokens = _at(store, run.id, "train/num_tokens", first, end)
                for step, value, t in zip(series.steps, series.values, series.times, strict=True) if series else ():
                    since = max(0.0, t - run.started) if run.started is not None else None
                    yield _line(
                        [lane.name, run.id, name, step, epochs.get(step), tokens.get(step), _moment(t), since, value]
                    )
                if end >= min(run.metrics[name].step, LAST_STEP):
                    break
                first = end + 1


def _at(store: Store, run_id: str, name: str, first: int, last: int) -> dict[int, float]:
    series = store.metrics.series(run_id, name, first_step=first, last_step=last)
    return dict(zip(series.steps, series.values, strict=True)) if series else {}


def _facts(lane: Lane) -> dict[str, Any]:
    """What is told of a run. Words of people and of data lose what looks like a secret."""
    run = lane.run
    facts = {
        "name": run.name,
        "id": run.id,
        "status": str(run.status),
        "reason": run.reason,
        "model": run.model,
        "method": run.method,
        "dataset": run.dataset,
        "dataset_id": run.dataset_id,
        "created": _moment(run.created),
        "started": _moment(run.started),
        "ended": _moment(run.ended),
        "duration_s": lane.took_s,
        "attempt": run.attempt,
        "step": run.step,
        "total_steps": run.total_steps,
        "best_step": run.best_step,
        "tokens_per_s": run.tokens_per_s,
        "peak_vram_bytes": run.peak_vram_bytes,
        "energy_j": run.energy_j,
        "cost": run.cost,
        "source": run.source,
        "parent": run.parent,
        "sweep": run.sweep,
        "tags": ", ".join(run.tags),
        "notes": run.notes,
    }
    return {name: without_secrets(value) if isinstance(value, str) else value for name, value in facts.items()}


def _setting(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and type(value) is not bool else fmt_setting(value) if value else ""


def _moment(t: float | None) -> str | None:
    """As spreadsheets read it: ISO 8601, UTC."""
    return f"{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%SZ}" if t is not None else None


def _line(cells: Iterable[Any]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = clean_line(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return "" if value is None else value
