"""The tables of a report: what the runs came to, what differs between them, what they took, where they are from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.figures import (
    NONE,
    fmt_bytes,
    fmt_change,
    fmt_cost,
    fmt_count,
    fmt_duration,
    fmt_energy,
    fmt_number,
    fmt_rate,
    fmt_setting,
)
from engine.reports.families import families
from engine.reports.lanes import Lane
from engine.runs.compare import Comparison, lower_is_better
from engine.text import clean_line
from engine.withheld import open_settings, without_secrets
from store import Store

MOST_COLUMNS = 6
"""With more runs than that, a table has a line for each instead of a column."""


@dataclass(frozen=True)
class Cell:
    """`change` is the distance to the baseline, `tone` whether that is `good` or `bad`; a `same` cell is its value."""

    text: str
    best: bool = False
    change: str = ""
    tone: str = ""
    same: bool = False


@dataclass(frozen=True)
class Table:
    """One line a name, with a cell for each run."""

    lines: dict[str, list[Cell]]

    def __bool__(self) -> bool:
        return bool(self.lines)


def metric_words(name: str) -> str:
    """A metric's name in words: `validation loss`, `training tokens/s`."""
    (family,) = families([name]) or (None,)
    if family is None:
        return clean_line(name)
    part = family.members[name]
    return f"{part} {family.title}" if part else family.title


def metric_table(comparison: Comparison, names: Sequence[str], baseline: int) -> Table:
    """What the runs came to, best marked, with the distance to the baseline."""
    lines = {}
    for name, values in comparison.metrics.items():
        if name not in names or all(value is None for value in values):
            continue
        lower, against = lower_is_better(name), values[baseline]
        cells = []
        for index, value in enumerate(values):
            gap = None if value is None or against is None or index == baseline else value - against
            tone = "" if not gap or lower is None else "good" if (gap < 0) is lower else "bad"
            shown = fmt_rate(value) if name.endswith("tokens_per_s") else fmt_number(value)
            cells.append(Cell(shown, comparison.best.get(name) == index, fmt_change(gap), tone))
        words = metric_words(name)
        lines[clean_line(name) if words in lines else words] = cells
    return Table(lines)


def differing_table(comparison: Comparison, baseline: int) -> Table:
    """The settings that differ."""
    return _settings_table(open_settings(comparison.differing), baseline)


def settings_table(lanes: Sequence[Lane], baseline: int) -> Table:
    """All settings of all runs."""
    settings = [open_settings(lane.run.recipe) for lane in lanes]
    names = dict.fromkeys(name for one in settings for name in one)
    return _settings_table({name: [one.get(name) for one in settings] for name in names}, baseline)


def took_table(lanes: Sequence[Lane]) -> Table:
    """How far the runs came, and what they took: time, memory, energy, money."""
    rows: dict[str, list[str]] = {
        "state": [lane.state for lane in lanes],
        "steps": [_steps(lane) for lane in lanes],
        "best step": [fmt_count(lane.run.best_step) for lane in lanes],
        "started": [_moment(lane.run.started) for lane in lanes],
        "took": [fmt_duration(lane.took_s) for lane in lanes],
        "tokens/s": [fmt_rate(lane.run.tokens_per_s) for lane in lanes],
        "most GPU memory": [fmt_bytes(lane.run.peak_vram_bytes) for lane in lanes],
        "energy": [fmt_energy(lane.run.energy_j) for lane in lanes],
        "cost": [fmt_cost(lane.run.cost) for lane in lanes],
        "started again": [f"{lane.run.attempt - 1}×" if lane.run.attempt > 1 else NONE for lane in lanes],
    }
    return _texts(rows)


def origin_table(store: Store, lanes: Sequence[Lane], plans: Mapping[str, Mapping[str, Any]]) -> Table:
    """Where the runs are from. `plans` has what each decided before its first step, by the run's id."""
    rows: dict[str, list[str]] = {}

    def add(name: str, values: Sequence[object]) -> None:
        rows[name] = [without_secrets(str(value)) if value not in (None, "") else NONE for value in values]

    datasets = [store.datasets.get(lane.run.dataset_id) if lane.run.dataset_id else None for lane in lanes]
    told = [plans.get(lane.run.id, {}) for lane in lanes]
    add("base model", [_model(lane) for lane in lanes])
    add("method", [lane.run.method for lane in lanes])
    add(
        "dataset",
        [f"{d.name} v{d.version}" if d else lane.run.dataset for d, lane in zip(datasets, lanes, strict=True)],
    )
    add("dataset's id", [lane.run.dataset_id for lane in lanes])
    add("made from", [_dataset_parent(store, d.parent) if d and d.parent else d.source if d else "" for d in datasets])
    add("rows", [_rows(plan, d.rows if d else None) for plan, d in zip(told, datasets, strict=True)])
    add("training tokens", [_count(plan.get("train_tokens")) for plan in told])
    add("grade of the data", [d.grade if d else "" for d in datasets])
    add("goes on from", [_run_name(store, lane.run.parent) for lane in lanes])
    add("trial of", [_sweep_name(store, lane.run.sweep) for lane in lanes])
    add("trained weights", [_count(plan.get("trainable_parameters")) for plan in told])
    add("device", [plan.get("device_title") or plan.get("device") for plan in told])
    add("precision", [plan.get("precision") for plan in told])
    add("seed", [lane.run.recipe.get("seed") for lane in lanes])
    versions = [_versions(plan) for plan in told]
    for library in dict.fromkeys(name for found in versions for name in found):
        add(library, [found.get(library) for found in versions])
    add("imported from", [lane.run.source for lane in lanes])
    add("launched", [_moment(lane.run.created) for lane in lanes])
    add("run's id", [lane.run.id for lane in lanes])
    add("tags", [", ".join(lane.run.tags) for lane in lanes])
    add("note", [lane.run.notes for lane in lanes])
    return _texts(rows)


def _settings_table(settings: Mapping[str, Sequence[Any]], baseline: int) -> Table:
    lines = {}
    for name, values in settings.items():
        against = values[baseline]
        lines[clean_line(name)] = [
            Cell(clean_line(fmt_setting(value)), same=index != baseline and value == against)
            for index, value in enumerate(values)
        ]
    return Table(lines)


def _texts(rows: Mapping[str, Sequence[str]]) -> Table:
    """Lines that say nothing of any run are left out."""
    return Table(
        {
            clean_line(name): [Cell(clean_line(text)) for text in texts]
            for name, texts in rows.items()
            if any(text != NONE for text in texts)
        }
    )


def _steps(lane: Lane) -> str:
    run = lane.run
    return f"{run.step:,} of {run.total_steps:,}" if run.total_steps else f"{run.step:,}" if run.step else NONE


def _moment(t: float | None) -> str:
    return f"{datetime.fromtimestamp(t):%Y-%m-%d %H:%M}" if t is not None else NONE


def _model(lane: Lane) -> str:
    revision = lane.run.recipe.get("revision")
    return f"{lane.run.model} at {revision}" if revision else lane.run.model


def _versions(plan: Mapping[str, Any]) -> dict[str, str]:
    found = plan.get("versions")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def _rows(plan: Mapping[str, Any], rows: int | None) -> str:
    train, held_out = plan.get("train_rows"), plan.get("eval_rows")
    if isinstance(train, int):
        return f"{train:,} to train on" + (f", {held_out:,} to validate" if isinstance(held_out, int) else "")
    return f"{rows:,}" if rows is not None else ""


def _count(value: Any) -> str:
    return fmt_count(value) if type(value) is int else ""


def _dataset_parent(store: Store, dataset_id: str) -> str:
    found = store.datasets.get(dataset_id)
    return f"{found.name} v{found.version}" if found else dataset_id


def _run_name(store: Store, run_id: str) -> str:
    found = store.runs.get(run_id) if run_id else None
    return found.name if found else run_id


def _sweep_name(store: Store, sweep_id: str) -> str:
    found = store.sweeps.get(sweep_id) if sweep_id else None
    return f"the sweep {found.name}" if found else sweep_id
