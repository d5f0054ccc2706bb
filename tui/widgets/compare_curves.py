"""Curves of several runs for the charts of a comparison: read once, drawn dim or not, one chart a metric."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tui.text import clean_line
from tui.widgets.chart_data import ChartSeries
from tui.widgets.chart_families import families, split_of, title_of
from tui.widgets.chart_grid import ChartContent
from tui.widgets.chart_scales import Scale
from tui.widgets.lanes import Compared, Eyes, Lane
from tui.widgets.run_curves import AXES, View, charted

if TYPE_CHECKING:
    from store import Store
    from store.records import Run, Series

SCALE_POINTS = 60
"""Other x-axes are nearly straight: so many points say where each step is."""
GIB = 2**30


@dataclass(frozen=True)
class CurvesAsk:
    """What is to be read: the metrics on the screen, at most two points a column."""

    metrics: Sequence[str]
    columns: int
    view: View = None


@dataclass(frozen=True)
class Curves:
    """What was read: by metric and run, and by run the other x-axes."""

    ask: CurvesAsk
    series: Mapping[tuple[str, str], "Series | None"]
    scales: Mapping[str, Mapping[str, Scale]]


class CurveReader:
    """Reads curves and keeps those at hand: of runs that do not change, nothing is read twice.

    One reading at a time, from any thread.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Any] = {}
        self._used: dict[tuple[object, ...], Any] = {}

    def read(self, store: "Store", lanes: Sequence[Lane], ask: CurvesAsk) -> Curves:
        """The curves that are asked for. What is not asked for any more is forgotten."""
        self._used = {}
        series = {
            (name, lane.run.id): self._series(store, lane.run, name, ask) for name in ask.metrics for lane in lanes
        }
        scales = {lane.run.id: self._scales(store, lane.run) for lane in lanes}
        self._known = self._used
        return Curves(ask, series, scales)

    def _series(self, store: "Store", run: "Run", name: str, ask: CurvesAsk) -> "Series | None":
        first, last = (int(ask.view[0]), int(ask.view[1]) + 1) if ask.view else (None, None)
        return self._once(
            (run.id, name, _stamp(run, name), ask.columns, first, last),
            partial(store.metrics.series, run.id, name, max_points=ask.columns * 2, first_step=first, last_step=last),
        )

    def _scales(self, store: "Store", run: "Run") -> dict[str, Scale]:
        found: dict[str, Scale] = {}
        for axis, name in AXES.items():
            points = self._once(
                (run.id, name, _stamp(run, name)),
                partial(store.metrics.series, run.id, name, max_points=SCALE_POINTS),
            )
            if points is not None and len(points.steps) > 1:
                found[axis] = (points.steps, points.values)
        return found

    def _once(self, key: tuple[object, ...], read: "Callable[[], Series | None]") -> "Series | None":
        if key[2] is None:  # the run does not have it
            return None
        self._used[key] = found = self._known[key] if key in self._known else read()
        return found


class Painter:
    """Makes charts of curves. A curve that is as before stays the same object, with what was worked out of it."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[Series, tuple[object, ...], ChartSeries]] = {}

    def contents(self, compared: Compared, curves: Curves, eyes: Eyes) -> dict[str, ChartContent]:
        """What each chart shows: dim curves first, then the others, that of the run at the cursor on top."""
        loud = eyes.loud(compared)
        lanes = sorted(compared.lanes, key=lambda lane: _height(lane, eyes, loud))
        live = any(lane.run.status.live for lane in lanes)
        words = "no points yet" if live else "none of these runs recorded it"
        made = {}
        found = {}
        for name in curves.ask.metrics:
            drawn = []
            for lane in lanes:
                run_id = lane.run.id
                points = curves.series.get((name, run_id))
                if points is None:
                    continue
                look = (lane.letter, lane.short, run_id in loud)
                before = self._made.get((name, run_id))
                if before is None or before[0] is not points or before[1] != look:
                    scales = curves.scales.get(run_id, {})
                    before = (points, look, _curve(lane, points, scales, run_id in loud))
                made[name, run_id] = before
                drawn.append(before[2])
            found[name] = ChartContent(drawn, (), words, from_zero=name.startswith(("gpu", "system/")))
        self._made = made
        return found


def chart_titles(names: Collection[str]) -> dict[str, str]:
    """The charts of some metrics, one each: what was told by the validation before the training, losses first."""
    found = {}
    for family, members in families(charted(names)).items():
        for name in sorted(members, key=lambda name: (split_of(name) != "eval", name)):
            found[name] = _title(name, family, members)
    return found or {"eval/loss": "eval loss"}


def _title(name: str, family: str, members: Sequence[str]) -> str:
    split = split_of(name)
    unit = " GB" if name.endswith("_bytes") else ""
    if split:
        alone = len(members) == 1 and split == "train" and family != "loss"
        return title_of(family) if alone else f"{split} {title_of(family)}"
    if len(members) == 1:
        return title_of(family) + unit
    return clean_line(name).removesuffix("_bytes").replace("/", " ").replace("_", " ") + unit


def _stamp(run: "Run", name: str) -> tuple[object, ...] | None:
    """Another one whenever the run has other points of the metric; `None` where it has none."""
    latest = run.metrics.get(name)
    return None if latest is None else (latest.step, repr(latest.last), run.attempt)


def _height(lane: Lane, eyes: Eyes, loud: Collection[str]) -> tuple[int, int]:
    """The last one is drawn on top."""
    run_id = lane.run.id
    if run_id not in loud:
        return 0, -lane.slot
    if len(loud) > 2 and run_id == eyes.current:
        return 2, 0
    return 1, lane.slot


def _curve(lane: Lane, points: "Series", scales: Mapping[str, Scale], loud: bool) -> ChartSeries:
    values, low, high = points.values, points.low, points.high
    if points.name.endswith("_bytes"):
        values, low, high = ([value / GIB for value in column] for column in (values, low, high))
    return ChartSeries(
        f"{lane.letter} {lane.short}",
        points.steps,
        values,
        lane.style if loud else "dim",
        low if loud else None,
        high if loud else None,
        times=points.times,
        smooth=split_of(points.name) != "eval",
        tag=lane.letter if loud else "",
        quiet=not loud,
        scales=scales,
        began=lane.run.started,
    )
