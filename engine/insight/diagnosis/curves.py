"""A run as diagnosis sees it: its metrics as lists of points, and the facts that they are judged by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

Points = list[tuple[int, float]]

MOST_POINTS = 2_000
"""Points kept of one metric: a run of a million steps is thinned, so that it can be watched in little memory."""

_TERMINAL = frozenset({"succeeded", "failed", "stopped", "lost"})


@dataclass
class Curves:
    """What is known of a run. Everything but `metrics` may be missing.

    `take` builds it from events, in the order of the log; `curves_of` from the store.
    """

    metrics: dict[str, Points] = field(default_factory=dict)
    """Metric → its points by step, NaN and infinite ones among them."""
    step: int = 0
    total_steps: int | None = None
    status: str = ""
    failure: str = ""
    """Of a run that failed: one of `engine.runs.failure_codes`."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """As it was trained with: no field says `auto`."""
    epoch: float | None = None
    """Passes over the training rows so far."""
    train_rows: int | None = None
    eval_rows: int | None = None
    """0 where nothing was held back; `None` where that is not known."""
    train_tokens: int | None = None
    best_step: int | None = None
    checkpoints: tuple[int, ...] = ()
    """Steps of the committed checkpoints that can be gone on from."""
    device: str = ""
    """`cpu`, `cuda:0`; empty before that is known."""
    memory_bytes: dict[str, float] = field(default_factory=dict)
    """GPU (`gpu0`) → its memory."""
    leaking_rows: int | None = None
    """Validation rows that training has too, by the dataset's report; `None` where it was not looked at."""
    source: str = ""
    """Where it was imported from; empty for a run that can be stopped, resumed and gone on from."""

    @property
    def live(self) -> bool:
        """Whether a process may be at work on the run."""
        return self.status not in _TERMINAL and self.status != ""

    @property
    def progress(self) -> float | None:
        """How much of it is done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else None

    def take(self, event: Mapping[str, Any]) -> None:
        """Apply one event of the run's log. Fields that are not as `docs/events.md` has them are passed over."""
        kind, step = event.get("kind"), _whole(event.get("step"))
        if kind in ("metrics", "evaluation", "system"):
            if step is None:
                return
            values = event.get("values")
            for name, value in values.items() if isinstance(values, dict) else ():
                number = _number(value)
                if number is not None:
                    self._add(name, step, number)
        if kind == "metrics" and step is not None:
            self.step = step
            self.epoch = _figure(event.get("epoch"), self.epoch)
            self.total_steps = _whole(event.get("total_steps")) or self.total_steps
        elif kind == "evaluation":
            self.best_step = _whole(event.get("best_step")) or (step if event.get("best") else None) or self.best_step
        elif kind == "checkpoint" and step is not None:
            self.checkpoints = tuple(sorted({*self.checkpoints, step}))
        elif kind == "plan":
            self._plan(event)
        elif kind == "state":
            self._state(event)
        elif kind == "end":
            self.status = str(event.get("status") or self.status)
            self.failure = str(event.get("code") or "") if self.status == "failed" else ""

    def _plan(self, event: Mapping[str, Any]) -> None:
        for name in ("total_steps", "train_rows", "eval_rows", "train_tokens"):
            setattr(self, name, _whole(event.get(name), getattr(self, name)))
        self.device = str(event.get("device") or self.device)
        gpus = event.get("gpus")
        for gpu in gpus if isinstance(gpus, list) else ():
            if isinstance(gpu, dict) and (size := _whole(gpu.get("memory_bytes"))):
                self.memory_bytes[f"gpu{gpu.get('index', 0)}"] = float(size)

    def _state(self, event: Mapping[str, Any]) -> None:
        self.status = str(event.get("status") or self.status)
        self.failure = ""
        back = _whole(event.get("from_step"))
        if back is None:
            return
        # An attempt goes on from here: what an earlier one did beyond it does not count any more.
        self.step = back
        self.checkpoints = tuple(step for step in self.checkpoints if step <= back)
        for name, points in self.metrics.items():
            if points and points[-1][0] > back:
                self.metrics[name] = [point for point in points if point[0] <= back]

    def _add(self, name: str, step: int, value: float) -> None:
        points = self.metrics.setdefault(name, [])
        if points and step <= points[-1][0]:
            while points and points[-1][0] >= step:
                points.pop()
        points.append((step, value))
        if len(points) > MOST_POINTS:
            # Every other point goes, but for those that are no number: they are evidence.
            self.metrics[name] = [
                point
                for index, point in enumerate(points)
                if index % 2 == len(points) % 2 ^ 1 or not isfinite(point[1])
            ][-MOST_POINTS:]


def curves_from(events: Iterable[Mapping[str, Any]], recipe: Mapping[str, Any] | None = None) -> Curves:
    """The curves that a run's events make."""
    curves = Curves(recipe=recipe or {})
    for event in events:
        curves.take(event)
    return curves


def _number(value: Any) -> float | None:
    """A number of an event; those that JSON lacks are strings there."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _figure(value: Any, otherwise: float | None) -> float | None:
    number = _number(value)
    return otherwise if number is None or not isfinite(number) else number


def _whole(value: Any, otherwise: int | None = None) -> int | None:
    return value if type(value) is int and value >= 0 else otherwise
