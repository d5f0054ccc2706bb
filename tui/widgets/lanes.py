"""Runs laid over each other: what is read of them, and the letter and colour that each keeps while it is compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.text import clean_line
from tui.widgets.chart_data import ChartSeries

if TYPE_CHECKING:
    from engine.runs.compare import Comparison
    from store import Store
    from store.records import Run, Series

LETTERS = "ABCDEFGH"
"""One a run; there are as many colours of curves."""
EVAL_LOSS, TRAIN_LOSS = "eval/loss", "train/loss"
ACCURACY = ("eval/mean_token_accuracy", "train/mean_token_accuracy")
RATE = "train/tokens_per_s"


@dataclass(frozen=True)
class Measure:
    """A tab of the chart. Of `names` the first one counts of which any run has points."""

    title: str
    names: tuple[str, ...]


MEASURES = {
    "eval_loss": Measure("eval loss", (EVAL_LOSS,)),
    "train_loss": Measure("train loss", (TRAIN_LOSS,)),
    "learning_rate": Measure("learning rate", ("train/learning_rate",)),
    "grad_norm": Measure("gradient norm", ("train/grad_norm",)),
    "accuracy": Measure("accuracy", ACCURACY),
    "rate": Measure("tokens/s", (RATE,)),
}


@dataclass(frozen=True)
class Lane:
    """A run of the comparison. `slot` (from 0) decides its letter and its colour."""

    run: "Run"
    slot: int
    short: str
    """Its name without what all of the names begin with."""

    @property
    def letter(self) -> str:
        return LETTERS[self.slot]

    @property
    def style(self) -> str:
        """The name of its colour on a chart."""
        return str(self.slot + 1)

    @property
    def color(self) -> str:
        """Its colour as a variable of the theme."""
        return f"$series-{self.slot + 1}"


@dataclass(frozen=True)
class Compared:
    """What is read from the store: the lanes, how they compare, and the curves of one measure."""

    lanes: list[Lane]
    comparison: "Comparison"
    measure: str
    curves: list[ChartSeries]


def read_compared(
    store: "Store", slots: dict[str, int], measure: str | None, columns: int, view: tuple[float, float] | None
) -> Compared:
    """Compare the runs in `slots` (id to slot); ones that are gone are left out. Call it in a thread.

    Without a measure, the first loss of which there are points. At most two points a column are read.
    """
    from engine.runs.compare import compare

    there = [run_id for run_id in slots if store.runs.get(run_id) is not None]
    comparison = compare(store, there)
    runs = comparison.runs
    shorts = short_names([clean_line(run.name) for run in runs])
    lanes = [Lane(run, slots[run.id], short) for run, short in zip(runs, shorts, strict=True)]
    if measure is None:
        has_eval = any(EVAL_LOSS in run.metrics for run in runs)
        measure = "eval_loss" if has_eval or not any(TRAIN_LOSS in run.metrics for run in runs) else "train_loss"
    name = metric_of(measure, runs)
    curves = []
    for lane in lanes:
        first, last = (int(view[0]), int(view[1]) + 1) if view else (None, None)
        points = store.metrics.series(lane.run.id, name, max_points=columns * 2, first_step=first, last_step=last)
        if points is not None:
            curves.append(_curve(lane, points))
    return Compared(lanes, comparison, measure, curves)


def metric_of(measure: str, runs: Sequence["Run"]) -> str:
    """The metric that the measure stands for with these runs."""
    names = MEASURES[measure].names
    return next((name for name in names if any(name in run.metrics for run in runs)), names[0])


def newest_with_points(store: "Store", count: int) -> list[str]:
    """Ids of the newest runs that have a loss, the newest first."""
    runs = store.runs.list(limit=200)
    return [run.id for run in runs if EVAL_LOSS in run.metrics or TRAIN_LOSS in run.metrics][:count]


def short_names(names: Sequence[str]) -> list[str]:
    """The names without their common beginning, which is cut after a `-`, `_`, `.`, `/` or space."""
    if len(names) < 2:
        return list(names)
    same = 0
    while all(same < len(name) - 1 and name[same] == names[0][same] for name in names):
        same += 1
    while same and names[0][same - 1] not in "-_./ ":
        same -= 1
    return [name[same:] for name in names]


def delta_of(values: Sequence[float | None], index: int, baseline: int | None) -> float | None:
    """How far a value is from the baseline's; `None` for the baseline itself."""
    value, against = values[index], values[baseline] if baseline is not None else None
    if index == baseline or value is None or against is None:
        return None
    return value - against if math.isfinite(value - against) else None


def _curve(lane: Lane, points: "Series") -> ChartSeries:
    return ChartSeries(
        f"{lane.letter} {lane.short}",
        points.steps,
        points.values,
        lane.style,
        points.low,
        points.high,
        times=points.times,
        smooth=points.name == TRAIN_LOSS or not points.name.startswith("eval/"),
    )
