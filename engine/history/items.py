"""What readers of others' files say, item by item, in the order of the file.

A reader is a generator: it holds no more than a block of its file, so that a run of millions of points needs no more
memory than a short one. It never raises for what a file holds: damage is an item, too, and what lies behind it is read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from store.records import LAST_STEP, Status


@dataclass(frozen=True)
class FoundRun:
    """A run that lies somewhere and can be imported."""

    source: str
    """The kind of files: `wandb`, `tensorboard`, `trainer`, `trackio`, `mlflow`, `finetui`."""
    source_id: str
    """What it is recognised by when it is imported again, its kind in front."""
    name: str
    path: Path
    """The file or folder that a person would call it."""
    files: tuple[Path, ...]
    """What is read, in order."""
    stamp: str
    """Other than before once there is more to read."""
    size: int
    """How much there is to read, in the reader's own measure: bytes of files, rows of a database."""
    key: str = ""
    """Which of the runs in a database it is."""
    created: float | None = None


@dataclass(slots=True)
class Row:
    """Figures of one moment. `step` is `None` where the file has none; `t` is in unix seconds."""

    values: Mapping[str, Any]
    step: Any = None
    t: float | None = None


@dataclass(slots=True)
class Machine:
    """Figures of the machine."""

    values: Mapping[str, Any]
    t: float | None = None


@dataclass(slots=True)
class Facts:
    """What becomes known of the run; `None` and empty leave what was known before."""

    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""
    started: float | None = None
    ended: float | None = None
    status: Status | None = None
    reason: str = ""
    total_steps: int | None = None


@dataclass(slots=True)
class Alert:
    """What somebody wanted to be told of."""

    level: str
    title: str
    text: str = ""
    t: float | None = None


@dataclass(slots=True)
class Words:
    """What its process wrote to the terminal."""

    text: str


@dataclass(slots=True)
class Damage:
    """A part that could not be read, in words."""

    message: str


@dataclass(slots=True)
class Skipped:
    """What there is no place for here: `images`, `histograms`."""

    what: str
    count: int = 1


@dataclass(slots=True)
class Part:
    """The run was started again: what follows goes on from its first step."""


Item = Row | Machine | Facts | Alert | Words | Damage | Skipped | Part
At = Callable[[int], None]
"""Hears how much of `FoundRun.size` has been read. Raises `Cancelled` once the import was given up."""


class Reader(Protocol):
    """Reads a run that was found, from its beginning."""

    def __call__(self, run: FoundRun, at: At) -> Iterator[Item]: ...


def whole_step(value: Any) -> int | None:
    """A step, or `None` for what is none."""
    if type(value) is int:
        return value if 0 <= value <= LAST_STEP else None
    if type(value) is float and value.is_integer() and 0 <= value <= LAST_STEP:
        return int(value)
    return None
