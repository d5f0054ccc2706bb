"""Runs laid over each other: what is read of them, and the letter and colour that each keeps while it is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from engine.runs.measures import EVAL_LOSS, TRAIN_LOSS, figure
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.runs.compare import Comparison
    from store import Store
    from store.records import Run

COLORS = 8
"""Of curves; the ninth run has the first one again, and its own letter."""
LETTERS = ascii_uppercase[:COLORS]
"""The letters of the first runs, one a colour."""
MOST_LOUD = 12
"""With more runs than that, the curves of those that nobody looks at are dim."""


@dataclass(frozen=True)
class Lane:
    """A run of the comparison. `slot` (from 0) decides its letter and its colour."""

    run: "Run"
    slot: int
    short: str
    """Its name without what all of the names begin with."""

    @property
    def letter(self) -> str:
        return letter_of(self.slot)

    @property
    def style(self) -> str:
        """The name of its colour on a chart."""
        return str(self.slot % COLORS + 1)

    @property
    def color(self) -> str:
        """Its colour as a variable of the theme."""
        return f"$series-{self.style}"


@dataclass(frozen=True)
class Compared:
    """What is read from the store: the lanes and how they compare. Lists have an entry a lane."""

    lanes: list[Lane]
    comparison: "Comparison"
    settings: Mapping[str, Sequence[Any]]
    """All fields of the recipes, not only those that differ."""

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each run is, by its id."""
        return {lane.run.id: place for place, lane in enumerate(self.lanes)}

    @cached_property
    def metrics(self) -> list[str]:
        """Every metric that one of the runs has: those that say what it came to first."""
        ranked = list(self.comparison.metrics)
        return ranked + sorted({name for lane in self.lanes for name in lane.run.metrics} - set(ranked))

    def figures(self, name: str) -> Sequence[float | None]:
        """What each run came to by a metric."""
        known = self.comparison.metrics.get(name)
        return known if known is not None else [figure(name, lane.run.metrics.get(name)) for lane in self.lanes]

    @cached_property
    def ranking(self) -> str:
        """The metric that runs are ranked by unless somebody says otherwise; empty where there is none."""
        from engine.runs.compare_words import ranking

        return ranking(self.comparison) or next((name for name in (EVAL_LOSS, TRAIN_LOSS) if any(self.has(name))), "")

    def has(self, name: str) -> list[bool]:
        return [figure is not None for figure in self.figures(name)]


@dataclass(frozen=True)
class Eyes:
    """Which runs somebody looks at, by id."""

    baseline: str = ""
    current: str = ""
    """The run at the cursor."""
    marked: frozenset[str] = field(default_factory=frozenset)

    def loud(self, compared: Compared) -> set[str]:
        """The runs that are not dim: all, unless there are many."""
        lanes = compared.lanes
        if len(lanes) <= MOST_LOUD:
            return {lane.run.id for lane in lanes}
        best = compared.comparison.best.get(compared.ranking)
        found = {self.baseline, self.current, *self.marked}
        return found | {lanes[best].run.id} if best is not None else found


def letter_of(slot: int) -> str:
    """A to Z, then AA, AB …"""
    rounds, place = divmod(slot, len(ascii_uppercase))
    return (letter_of(rounds - 1) if rounds else "") + ascii_uppercase[place]


def read_compared(store: "Store", slots: Mapping[str, int]) -> Compared:
    """Compare the runs in `slots` (id to slot); ones that are gone are left out. Call it in a thread."""
    from engine.runs.compare import compare, settings

    there = {run.id for run in store.runs.some(list(slots))}
    comparison = compare(store, [run_id for run_id in slots if run_id in there])
    runs = comparison.runs
    shorts = short_names([clean_line(run.name) for run in runs])
    lanes = [Lane(run, slots[run.id], short) for run, short in zip(runs, shorts, strict=True)]
    return Compared(lanes, comparison, settings(runs))


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
