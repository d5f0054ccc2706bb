"""Reads a run's curves from the store, for the charts. Call it in a thread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.text import clean_line
from tui.widgets.chart_data import ChartSeries, Marker
from tui.widgets.run_words import EVAL_LOSS, TRAIN_LOSS

if TYPE_CHECKING:
    from store import Store
    from store.records import Attempt, EventRow, Run, Series

MEMORY = ("gpu0/memory_used_bytes", "system/rss_bytes")
"""Metrics of memory in use, the better one first."""


@dataclass(frozen=True)
class Curves:
    """What the charts of a run show. `memory_name` says what `memory` measures; empty where nothing does."""

    loss: list[ChartSeries]
    markers: list[Marker]
    memory: list[ChartSeries]
    memory_name: str
    learning_rate: list[ChartSeries]
    grad_norm: list[ChartSeries]


def read_loss(
    store: "Store", run: "Run", columns: int, view: tuple[float, float] | None = None
) -> tuple[list[ChartSeries], list[Marker]]:
    """Train and validation loss with their markers, at most two points a column. `view` is a range of steps."""
    series = []
    for name, label, style in ((TRAIN_LOSS, "train", "train"), (EVAL_LOSS, "eval", "eval")):
        points = _series(store, run.id, name, columns, view)
        if points is not None:
            series.append(_chart_series(points, label, style, smooth=name == TRAIN_LOSS))
    return series, _markers(store, run, series)


def read_curves(store: "Store", run: "Run", columns: int, view: tuple[float, float] | None = None) -> Curves:
    """All curves of the run's own screen."""
    loss, markers = read_loss(store, run, columns, view)
    memory, memory_name = [], ""
    for name in MEMORY:
        points = _series(store, run.id, name, columns, view)
        if points is not None:
            memory_name = "GPU memory" if name.startswith("gpu") else "memory of the process"
            memory = [_in_gigabytes(_chart_series(points, "GB", "memory"))]
            break
    return Curves(
        loss,
        markers,
        memory,
        memory_name,
        _one(store, run.id, "train/learning_rate", "learning rate", "1", columns, view),
        _one(store, run.id, "train/grad_norm", "gradient norm", "4", columns, view),
    )


def _one(
    store: "Store", run_id: str, name: str, label: str, style: str, columns: int, view: tuple[float, float] | None
) -> list[ChartSeries]:
    points = _series(store, run_id, name, columns, view)
    return [] if points is None else [_chart_series(points, label, style)]


def _series(store: "Store", run_id: str, name: str, columns: int, view: tuple[float, float] | None) -> "Series | None":
    first, last = (int(view[0]), int(view[1]) + 1) if view else (None, None)
    return store.metrics.series(run_id, name, max_points=columns * 2, first_step=first, last_step=last)


def _chart_series(points: "Series", label: str, style: str, *, smooth: bool = True) -> ChartSeries:
    return ChartSeries(
        label, points.steps, points.values, style, points.low, points.high, times=points.times, smooth=smooth
    )


def _in_gigabytes(series: ChartSeries) -> ChartSeries:
    def scaled(values: "list[float]") -> list[float]:
        return [value / 2**30 for value in values]

    low, high = scaled(list(series.low or [])), scaled(list(series.high or []))
    return ChartSeries(
        series.label, series.steps, scaled(list(series.values)), series.style, low, high, times=series.times
    )


def _markers(store: "Store", run: "Run", series: list[ChartSeries]) -> list[Marker]:
    checkpoints: list[EventRow] = store.runs.events(run.id, ["checkpoint"], limit=50)
    attempts: list[Attempt] = store.runs.attempts(run.id)
    markers = [Marker(float(event.body.get("step", 0)), "◆", "checkpoint") for event in checkpoints]
    markers += [Marker(float(attempt.from_step or 0), "↻", "resumed") for attempt in attempts if attempt.number > 1]
    evals = next((item for item in series if item.label == "eval"), None)
    best = run.best_step
    if best is not None and evals is not None and best in evals.steps:
        value = float(evals.values[list(evals.steps).index(best)])
        markers.append(Marker(float(best), "★", "best", value))
    return markers


def last_sample(events: "list[EventRow]") -> tuple[str, str] | None:
    """The first prompt and answer of the newest sample event, each on one line."""
    for event in reversed(events):
        for sample in event.body.get("samples") or ():
            return clean_line(str(sample.get("prompt", ""))), clean_line(str(sample.get("text", "")))
    return None
