"""What is found out about a run, and what can be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")
"""The worst first."""


@dataclass(frozen=True)
class Evidence:
    """Points of one metric that a finding rests on, in the order of their steps. `words` say what they show."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    words: str


@dataclass(frozen=True)
class Act:
    """Something that can be done about a finding with one key: see `engine.insight.acting`."""

    code: str
    """`stop`, `branch` (a new run from a checkpoint), `retrain` (a new run from the start), `resume`, or `data`
    (look at the dataset, which is up to the user)."""
    offer: str
    """What it does, in a few words: `stop and keep step 300`."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Recipe fields of the new run → their values."""
    from_step: int | None = None
    """The step of the checkpoint that is kept (`stop`) or gone on from (`branch`)."""
    question: str = ""
    """What has to be answered with yes before; empty where nothing has."""


@dataclass(frozen=True)
class Finding:
    """One thing that a run's own figures show."""

    code: str
    """A name that does not change: `overfitting`. `docs/diagnosis.md` lists them."""
    level: Level
    title: str
    """What it is, in a few words with a figure: `Overfitting since step 150`."""
    why: str
    """What it means and what helps, in whole sentences."""
    confidence: float
    """How sure that is, 0 to 1."""
    step: int
    """Where it began, as far as can be told."""
    evidence: tuple[Evidence, ...] = ()
    acts: tuple[Act, ...] = ()
    """What can be done, the best first."""
