"""Reads a run's curves from the store, for the charts. Call it in a thread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.text import clean_line
from tui.widgets.chart_data import ChartSeries, Marker
from tui.widgets.chart_families import split_of
from tui.widgets.chart_grid import ChartContent
from tui.widgets.chart_scales import Scale
from tui.widgets.run_words import EVAL_LOSS, TRAIN_LOSS

if TYPE_CHECKING:
    from store import Store
    from store.records import EventRow, Run, Series

AXES = {"epoch": "train/epoch", "tokens": "train/num_tokens"}
"""Metrics that are an x-axis, and no chart."""

AXIS_POINTS = 120
"""They are nearly straight: so many points say where each step is."""

CONSTANT = ("/memory_total_bytes", "/power_limit_w")
"""Metrics that hardly ever change: panels show them, a chart of them is a dot."""

MOST_MARKERS = 200

View = tuple[float, float] | None
"""A range of steps; `None` is all of them."""


@dataclass(frozen=True)
class Ask:
    """What of a run is to be read: the metrics of each chart on the screen, at most two points a column."""

    charts: Mapping[str, Sequence[str]]
    columns: int
    view: View = None


def charted(names: Iterable[str]) -> list[str]:
    """The metrics that have a chart."""
    return [name for name in names if name not in AXES.values() and not name.endswith(CONSTANT)]


def read_contents(store: "Store", run: "Run", ask: Ask) -> dict[str, ChartContent]:
    """What the charts of `ask` show."""
    scales = {axis: scale for axis, name in AXES.items() if (scale := _scale(store, run, name)) is not None}
    marks = _marks(store, run)
    empty = "no points yet" if run.status.live else "nothing was recorded"
    found = {}
    for family, names in ask.charts.items():
        series = [
            _chart_series(points, run, _label(name, names), scales)
            for name in names
            if (points := _series(store, run.id, name, ask.columns, ask.view)) is not None
        ]
        if family == "loss":
            best = _best(run, series)
            found[family] = ChartContent(series, [*marks, best] if best else marks, empty)
        else:
            others = [mark for mark in marks if mark.symbol != "◆"]
            of_machine = family.startswith(("gpu", "system/"))
            found[family] = ChartContent(series, others, empty, from_zero=of_machine)
    return found


def read_loss(store: "Store", run: "Run", columns: int, view: View = None) -> tuple[list[ChartSeries], list[Marker]]:
    """Train and validation loss with their markers, at most two points a column."""
    found = read_contents(store, run, Ask({"loss": (TRAIN_LOSS, EVAL_LOSS)}, columns, view))["loss"]
    return list(found.series), list(found.markers)


def last_sample(events: "list[EventRow]") -> tuple[str, str] | None:
    """The first prompt and answer of the newest sample event, each on one line."""
    for event in reversed(events):
        for sample in event.body.get("samples") or ():
            return clean_line(str(sample.get("prompt", ""))), clean_line(str(sample.get("text", "")))
    return None


def _series(store: "Store", run_id: str, name: str, columns: int, view: View) -> "Series | None":
    first, last = (int(view[0]), int(view[1]) + 1) if view else (None, None)
    return store.metrics.series(run_id, name, max_points=columns * 2, first_step=first, last_step=last)


def _scale(store: "Store", run: "Run", name: str) -> Scale | None:
    if name not in run.metrics:
        return None
    series = store.metrics.series(run.id, name, max_points=AXIS_POINTS)
    return None if series is None or len(series.steps) < 2 else (series.steps, series.values)


def _label(name: str, names: Sequence[str]) -> str:
    """What tells a curve from the others of its chart: `train` and `eval`, else the end of its name."""
    split = split_of(name)
    if len([one for one in names if split_of(one) == split]) == 1 and split:
        return split
    bare = clean_line(name.rpartition("/")[2])
    for ending in ("_bytes", "_percent"):
        bare = bare.removesuffix(ending)
    if name.startswith("gpu"):
        bare = bare.removeprefix("memory_")
    return bare.replace("_", " ") + (" GB" if name.endswith("_bytes") else "")


def _chart_series(points: "Series", run: "Run", label: str, scales: Mapping[str, Scale]) -> ChartSeries:
    split, size = split_of(points.name), 2**30 if points.name.endswith("_bytes") else 1
    values, low, high = (
        (points.values, points.low, points.high)
        if size == 1
        else ([value / size for value in column] for column in (points.values, points.low, points.high))
    )
    return ChartSeries(
        label,
        points.steps,
        values,
        split,
        low,
        high,
        times=points.times,
        smooth=split != "eval",
        scales=scales,
        began=run.started,
    )


def _marks(store: "Store", run: "Run") -> list[Marker]:
    """Checkpoints, resumes, alerts and findings."""
    events = store.runs.events(run.id, ["checkpoint", "alert"], limit=MOST_MARKERS)
    found = []
    for event in events:
        step = event.body.get("step")
        if event.kind == "checkpoint":
            found.append(Marker(float(step or 0), "◆", "checkpoint"))
        elif isinstance(step, int) and event.body.get("level") != "info":
            found.append(Marker(float(step), "⚠", clean_line(str(event.body.get("code", "alert")))))
    if run.attempt > 1:
        steps = [attempt.from_step for attempt in store.runs.attempts(run.id) if attempt.number > 1]
        found += [Marker(float(step), "↻", "resumed") for step in steps if step is not None]  # else not at work yet
    return found


def _best(run: "Run", series: Sequence[ChartSeries]) -> Marker | None:
    """The best evaluation, on its curve."""
    evals, step = next((item for item in series if item.style == "eval"), None), run.best_step
    if step is None or evals is None:
        return None
    latest = run.metrics.get(EVAL_LOSS)
    if latest is not None and latest.min_step == step and latest.min is not None:
        return Marker(float(step), "★", "best", latest.min)
    if step in evals.steps:
        return Marker(float(step), "★", "best", float(evals.values[list(evals.steps).index(step)]))
    return None
