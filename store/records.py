"""What the store hands out: frozen dataclasses, no rows, no dicts of unknown shape."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from store.talk_records import Passage


class Status(StrEnum):
    """The closed set of states of a run."""

    QUEUED = "queued"
    STARTING = "starting"
    REHEARSING = "rehearsing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def live(self) -> bool:
        """Whether a process may be at work on the run."""
        return self not in TERMINAL


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.STOPPED, Status.LOST})


@dataclass(frozen=True)
class Latest:
    """What one metric of one run came to. `min` and `max` leave out NaN; `last` is NaN where the last point was."""

    last: float
    min: float | None
    max: float | None
    step: int
    min_step: int | None


@dataclass(frozen=True)
class Run:
    """A run as the lists show it. Times are unix seconds."""

    id: str
    name: str
    status: Status
    reason: str
    model: str
    method: str
    dataset: str
    dataset_id: str
    created: float
    started: float | None
    ended: float | None
    attempt: int
    step: int
    total_steps: int | None
    eta_s: float | None
    tokens_per_s: float | None
    peak_vram_bytes: int | None
    cost: float | None
    phase: str
    """What a live run is doing, in words: `building the starter model`."""
    phase_progress: float | None
    """How far that is, 0 to 1."""
    heartbeat: float | None
    best_step: int | None
    tags: tuple[str, ...]
    notes: str
    recipe: dict[str, Any]
    dir: str
    metrics: dict[str, Latest] = field(default_factory=dict)
    alerts: int = 0
    warnings: int = 0
    """Damaged or unknown lines of its event log."""
    failure: str = ""
    """Why it failed, as one of the codes of `engine.insight.failures`."""
    parent: str = ""
    """The id of the run whose adapter it goes on from."""
    sweep: str = ""
    """The id of the sweep that it is a trial of."""
    stalled: float | None = None
    """Since when nothing is heard of a live run (unix seconds), where that is longer than it should be."""
    energy_j: float | None = None
    """What its GPUs took, in joules, as far as their power was measured."""
    power_w: float | None = None
    """What its GPUs took when they were asked last, in watts."""
    eta_error_s: float | None = None
    """How far off `eta_s` may well be, one standard deviation."""
    source: str = ""
    """What kind of file it was imported from: `wandb`, `tensorboard` …; empty for finetui's own runs."""
    busy_s: float | None = None
    """For how long it had its devices, over all its attempts."""
    finding: str = ""
    """The code of the worst finding that nobody dismissed."""
    win_rate: float | None = None
    """The share of its votes in the arena that it won, by everybody, overall; a tie is half a win."""
    win_votes: int = 0
    """How many votes that is of."""
    figures: dict[str, float] = field(default_factory=dict)
    """What it came to in its newest evaluations, by names of `engine.evaluation.measures`."""

    @property
    def progress(self) -> float | None:
        """How much of it is done, 0 to 1, or `None` before that is known."""
        if self.status is Status.SUCCEEDED:
            return 1.0
        return min(1.0, self.step / self.total_steps) if self.total_steps else None


@dataclass(frozen=True)
class NewRun:
    """What is known of a run when it is launched."""

    id: str
    name: str
    model: str
    method: str
    dataset: str
    dataset_id: str
    created: float
    recipe: dict[str, Any]
    dir: str
    tags: tuple[str, ...] = ()
    parent: str = ""
    sweep: str = ""
    source: str = ""


@dataclass(frozen=True)
class Attempt:
    """One start of a run: from a resume to its end."""

    run_id: str
    number: int
    started: float
    ended: float | None
    status: Status
    reason: str
    from_step: int | None
    """The checkpoint's step that it goes on from: points of earlier attempts past it are superseded. `None` until the
    worker has said it."""


@dataclass(frozen=True)
class Series:
    """Points of one metric, by step, superseded ones left out. A NaN point keeps its place.

    `steps`, `values` and `times` have one entry a point. `low` and `high` are the extremes of what each point stands
    for where the series was thinned; else they equal `values`.
    """

    name: str
    steps: list[int]
    values: list[float]
    times: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class EventRow:
    """An event kept for people to read: an alert, a sample, a checkpoint, an evaluation, a state."""

    run_id: str
    seq: int
    t: float
    attempt: int
    kind: str
    body: dict[str, Any]


@dataclass
class RunState:
    """The part of a run that its event log changes. Times are unix seconds."""

    status: Status
    reason: str
    started: float | None
    ended: float | None
    attempt: int
    step: int
    total_steps: int | None
    eta_s: float | None
    tokens_per_s: float | None
    peak_vram_bytes: int | None
    phase: str
    phase_progress: float | None
    heartbeat: float | None
    best_step: int | None
    cost: float | None
    failure: str
    stalled: float | None
    energy_j: float | None
    power_w: float | None
    eta_error_s: float | None
    busy_s: float | None

    @classmethod
    def of(cls, run: Run) -> "RunState":
        return cls(**{one.name: getattr(run, one.name) for one in fields(cls)})


LAST_STEP = (1 << 62) - 1
"""No step lies beyond it. Its successor is a multiple of the size of every roll-up's bucket."""

Point = tuple[int, float, float]
"""`step`, `value`, `t` (unix seconds) of one point of a metric."""


@dataclass(frozen=True)
class IngestBatch:
    """What a stretch of a run's event log says, ready to be stored.

    `start` and `offset` are the bytes of the log where the stretch begins and ends: a batch that does not begin where
    the store stands is left out, so that nothing is counted twice. `points` are in the order of the log, by metric
    and attempt.
    """

    run_id: str
    start: int
    offset: int
    points: dict[tuple[str, int], list[Point]] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    unknown: int = 0
    last_seq: int = -1
    updates: dict[str, Any] = field(default_factory=dict)
    """The fields of `RunState` that changed."""


@dataclass(frozen=True)
class Dataset:
    """An immutable version of a dataset. `tokens` and `grade` are what has been found out about it since."""

    id: str
    name: str
    version: int
    shape: str
    rows: int
    splits: dict[str, int]
    tokens: int | None
    parent: str | None
    source: str
    created: float
    dir: str
    warnings: tuple[str, ...] = ()
    grade: str = ""
    """A to F, once the dataset has a report."""


@dataclass(frozen=True)
class Chat:
    """A conversation with one or more models side by side."""

    id: str
    title: str
    created: float
    updated: float
    panes: tuple[str, ...]
    """One label a pane: `base`, or a run's id."""
    system: str
    settings: dict[str, Any]
    tags: tuple[str, ...] = ()
    """In order of the alphabet."""
    pinned: bool = False
    parent: str = ""
    """The id of the chat that it was forked from."""


@dataclass(frozen=True)
class Message:
    """One turn of one pane. A user's turn is stored once, with `pane` -1."""

    chat_id: str
    position: int
    pane: int
    role: str
    text: str
    t: float
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    passages: tuple[Passage, ...] = ()
    """What was found in notes and put before the question, the best first."""


class SweepStatus(StrEnum):
    """The closed set of states of a sweep."""

    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def live(self) -> bool:
        """Whether a driver may be at work on the sweep."""
        return self in (SweepStatus.RUNNING, SweepStatus.STOPPING)


@dataclass(frozen=True)
class Sweep:
    """Runs of one recipe with some of its fields varied. Its runs name it in `Run.sweep`. Times are unix seconds."""

    id: str
    name: str
    created: float
    status: SweepStatus
    reason: str
    ended: float | None
    spec: dict[str, Any]
    """What `engine.sweeps.spec` makes a spec of."""
    dir: str


@dataclass(frozen=True)
class FindingRow:
    """Something that was found out about a run from its own figures: see `engine.insight.diagnosis`."""

    run_id: str
    code: str
    level: str
    """`error`, `warning` or `info`."""
    step: int
    found: float
    """When it was found first, unix seconds."""
    dismissed: float | None
    """When somebody said that it does not matter."""
    body: dict[str, Any]


@dataclass(frozen=True)
class View:
    """A filter with its order that somebody keeps under a name."""

    kind: str
    """Of what: `runs`."""
    name: str
    query: str
    sort: str
    descending: bool


@dataclass(frozen=True)
class Spent:
    """What a run took so far. `None` is not known."""

    id: str
    name: str
    model: str
    method: str
    dataset: str
    started: float
    tags: list[str]
    busy_s: float
    """For how long it had its devices."""
    devices: Any
    """How many it asked for, as its recipe has it: a number, a list, or `auto`."""
    energy_j: float | None
    cost: float | None
