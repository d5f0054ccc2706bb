"""The curves of a report: read from the store, thinned to what a page can carry, with scales for every x axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from engine.errors import BadInput
from engine.reports.families import VALIDATION, Family, families
from engine.reports.lanes import Lane
from store import Store
from store.records import Series

MOST_POINTS = 2000
"""Of one curve: more than a screen has columns."""
LEAST_POINTS = 120
MOST_PLOTS = 60
"""Of a page: some log hundreds of metrics."""
BUDGET_POINTS = 50_000
"""Of all curves together: a page of eight runs with twenty metrics stays well below 2 MB."""
KNOTS = 240
"""Of a scale: it is straight in between."""

Scale = tuple[list[int], list[float]]
"""Steps, and the x that each is at."""


@dataclass(frozen=True)
class Curve:
    """A metric of a run. Values that are no finite numbers are `nan`: gaps. `low` and `high` may be empty."""

    lane: Lane
    part: str
    steps: list[int]
    values: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Plot:
    """A family of metrics, with the curves of all runs that have them. Values are in the family's unit."""

    family: Family
    curves: list[Curve]

    @property
    def title(self) -> str:
        return self.family.title + (f" ({self.family.unit})" if self.family.unit else "")


def chosen_metrics(lanes: Sequence[Lane], metrics: Sequence[str] | None) -> list[str]:
    """The metrics of a report: those asked for, else all. Raises `BadInput` for one that no run has."""
    there = {name for lane in lanes for name in lane.run.metrics}
    if metrics is None:
        return sorted(there)
    if unknown := [name for name in metrics if name not in there]:
        raise BadInput(
            f"None of the runs has a metric {unknown[0]!r}.",
            why=f"There are: {', '.join(sorted(there)) or 'none yet'}.",
            fix="Name one of these, or leave --metric out for all of them.",
        )
    return list(dict.fromkeys(metrics))


def read_plots(store: Store, lanes: Sequence[Lane], metrics: Sequence[str]) -> tuple[list[Plot], int]:
    """The plots of these metrics, and how many more there would be. Call it in a thread.

    All curves share a budget of points. Families without a single finite point are left out.
    """
    found = families(metrics)
    count = sum(name in lane.run.metrics for lane in lanes for one in found[:MOST_PLOTS] for name in one.members)
    most = max(LEAST_POINTS, min(MOST_POINTS, BUDGET_POINTS // max(1, count)))
    plots = []
    for family in found[:MOST_PLOTS]:
        curves = [
            curve
            for lane in lanes
            for name, part in family.members.items()
            if (series := store.metrics.series(lane.run.id, name, max_points=most)) is not None
            and (curve := _curve(lane, part, series, family.scale)).steps
        ]
        if any(math.isfinite(value) for curve in curves for value in curve.values):
            plots.append(Plot(family, curves))
    return plots, max(0, len(found) - MOST_PLOTS)


def scales_of(store: Store, lane: Lane) -> dict[str, Scale]:
    """What a run's x axis can be besides its steps: `epoch`, `time` (seconds since its start) and `tokens`."""
    found: dict[str, Scale] = {}
    for axis, name in (("epoch", "train/epoch"), ("tokens", "train/num_tokens")):
        series = store.metrics.series(lane.run.id, name, max_points=KNOTS) if name in lane.run.metrics else None
        if series is not None and (scale := _rising(dict(zip(series.steps, series.values, strict=True)) | {0: 0.0})):
            found[axis] = scale
    times: dict[int, float] = {}
    for name in sorted(lane.run.metrics, key=lambda name: (name != "eval/loss", name != "train/loss")):
        if len(times) > KNOTS // 4:
            break
        series = store.metrics.series(lane.run.id, name, max_points=KNOTS)
        times |= dict(zip(series.steps, series.times, strict=True)) if series else {}
    if times:
        start = min(times.values()) if lane.run.started is None else lane.run.started
        if scale := _rising({step: max(0.0, t - start) for step, t in times.items()}):
            found["time"] = scale
    return found


def is_marked(plot: Plot) -> bool:
    """Whether the best step and checkpoints are of interest there: on noisy figures of training they are not."""
    return plot.family.key == "loss" or any(curve.part == VALIDATION for curve in plot.curves)


def best_point(plot: Plot, lane: Lane) -> tuple[int, float] | None:
    """Where the run's best step is on its validation curve; where it has none, on that of its loss."""
    best = lane.run.best_step
    own = sorted((curve for curve in plot.curves if curve.lane is lane), key=lambda curve: curve.part != VALIDATION)
    if best is None or not own or not is_marked(plot):
        return None
    near = min(zip(own[0].steps, own[0].values, strict=True), key=lambda point: abs(point[0] - best))
    return near if math.isfinite(near[1]) and _close(near[0], best, own[0]) else None


def _close(step: int, best: int, curve: Curve) -> bool:
    """A thinned curve may not have the very step; a point of its neighbourhood stands for it."""
    return abs(step - best) <= max(1, (curve.steps[-1] - curve.steps[0]) // max(1, len(curve.steps) - 1))


def _curve(lane: Lane, part: str, series: Series, scale: float) -> Curve:
    values, low, high = (
        [value / scale if math.isfinite(value) else math.nan for value in column]
        for column in (series.values, series.low, series.high)
    )
    thinned = any(a != b for a, b in zip(low, high, strict=True) if not math.isnan(a) and not math.isnan(b))
    return Curve(lane, part, series.steps, values, low if thinned else [], high if thinned else [])


def _rising(points: dict[int, float]) -> Scale | None:
    """By step, never falling, whatever clocks and resumes did; `None` where it does not rise at all."""
    steps = sorted(step for step, x in points.items() if math.isfinite(x))
    values = list(accumulate((points[step] for step in steps), max))
    return (steps, values) if len(steps) > 1 and values[-1] > values[0] else None
