"""What runs are to reach: `[targets]` of the home's `settings.toml`, and of `finetui.toml` where one works.

    [targets]
    "train/loss" = "<1.0"
    "eval/loss.min" = "<1.2"
    token_reduction = "20..30"

A name is a metric of the training, as in filters (`eval/loss` is the last value), one that evaluations measure
(`rouge_l`, or `eval.rouge_l`), or one of `FIELDS`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.figures import fmt_number
from engine.home import Home
from engine.toml import read_toml
from store.records import Run

PROJECT = "finetui.toml"
"""Beside the data of a project; what it says of a name goes before the home's settings."""
FIELDS = ("cost", "energy_j", "peak_vram_bytes", "tokens_per_s", "win_rate")
"""Fields of a run that can have a target."""
EXAMPLE = 'Write for example:  "train/loss" = "<1.0"  or  token_reduction = "20..30"'
_FIGURE = "eval."
_PARTS = ("min", "max", "last")
_LIMIT = re.compile(r"(<=|>=|<|>)\s*(\S+)")
_RANGE = re.compile(r"(\S*?)\s*\.\.\s*(\S*)")


@dataclass(frozen=True)
class Target:
    """Where a figure is to be: above `low` and below `high`, as far as they are given."""

    name: str
    low: float | None = None
    high: float | None = None
    inclusive: bool = True
    """Whether the limits themselves will do."""

    def met(self, value: float) -> bool:
        """NaN meets nothing."""
        if math.isnan(value):
            return False
        above = self.low is None or value > self.low or (self.inclusive and value == self.low)
        below = self.high is None or value < self.high or (self.inclusive and value == self.high)
        return above and below

    @property
    def words(self) -> str:
        """As it is written: `< 1`, `20..30`."""
        if self.low is not None and self.high is not None:
            return f"{fmt_number(self.low)}..{fmt_number(self.high)}"
        sign = ("<" if self.low is None else ">") + ("=" if self.inclusive else "")
        return f"{sign} {fmt_number(self.high if self.low is None else self.low)}"


@dataclass(frozen=True)
class TargetResult:
    """How a run stands to a target. `value` and `met` are `None` where it has no such figure yet."""

    target: Target
    value: float | None
    met: bool | None

    @property
    def words(self) -> str:
        return "not measured" if self.met is None else "met" if self.met else "missed"


def parse_target(name: str, text: Any) -> Target:
    """Raises `BadInput` for what is no target."""
    stripped = text.strip().removesuffix("%").strip() if isinstance(text, str) else ""
    if limit := _LIMIT.fullmatch(stripped):
        value, inclusive = _number(limit[2]), limit[1].endswith("=")
        if value is not None:
            up = limit[1].startswith("<")
            return Target(name, None if up else value, value if up else None, inclusive)
    elif between := _RANGE.fullmatch(stripped):
        low, high = (_number(end) if end else None for end in between.groups())
        known = all(value is not None or not end for value, end in zip((low, high), between.groups(), strict=True))
        if known and (low, high) != (None, None) and (low is None or high is None or low <= high):
            return Target(name, low, high)
    raise BadInput(
        f"The target {name} = {text!r} is not understood.",
        why="A target is a limit (<1.0, <=, >, >=) or a range (20..30), in quotes.",
        fix=EXAMPLE,
    )


def read_targets(home: Home, project: Path | None = None) -> tuple[Target, ...]:
    """The targets of the home, and over them those of the folder `project` (the working directory, unless given).

    Raises `BadInput` for one that is not understood. A settings file that is no TOML has none; the app says what is
    wrong with it.
    """
    found: dict[str, Target] = {}
    for path in (home.root / "settings.toml", (project or Path()) / PROJECT):
        for name, text in _table(path).items():
            found[name] = parse_target(name, text)
    return tuple(found.values())


def judge(run: Run | None, figures: Mapping[str, float], targets: tuple[Target, ...]) -> list[TargetResult]:
    """How a model stands to each target. `figures` are what evaluations measured of it; without a `run` only they."""
    found = []
    for target in targets:
        value = _value(run, figures, target.name)
        found.append(TargetResult(target, value, None if value is None else target.met(value)))
    return found


def _value(run: Run | None, figures: Mapping[str, float], name: str) -> float | None:
    figure = name.removeprefix(_FIGURE)
    if figure in figures:
        return figures[figure]
    if run is None:
        return None
    if name in FIELDS:
        value = getattr(run, name)
        return None if value is None else float(value)
    if name in run.metrics:
        return run.metrics[name].last
    metric, _, part = name.rpartition(".")
    if part in _PARTS and metric in run.metrics:
        return {"min": run.metrics[metric].min, "max": run.metrics[metric].max}.get(part, run.metrics[metric].last)
    return None


def _table(path: Path) -> dict[str, Any]:
    try:
        table = read_toml(path).get("targets", {})
    except (OSError, ValueError):
        return {}
    if not isinstance(table, dict):
        raise BadInput(f"[targets] in {path} is no table of targets.", fix=EXAMPLE)
    return {str(name): text for name, text in table.items()}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
