"""What evaluations found, and the adapters that are registered under a name."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """One time that models were measured on the same rows. `models[0]` is what the others are compared with.

    Its folder `evaluations/<id>/` has the rows, every answer and the log; this is the index over it.
    """

    id: str
    created: float
    name: str
    kind: str
    """`split`: rows with expected answers; `suite`: prompts without; `retention`: probes of what the base knows."""
    data: str
    """The id of a dataset, or the name of a shipped probe set."""
    split: str
    models: tuple[str, ...]
    """`base:NAME`, a run's id, or `path:FOLDER`, in the order of the columns."""
    settings: dict[str, Any]
    rows: int
    ended: float | None = None
    reason: str = ""
    """Why it ended before its rows did, in words; empty where it did not."""


@dataclass(frozen=True)
class Measured:
    """One figure of one model in an evaluation, with the interval that its rows leave open."""

    evaluation: str
    model: int
    """The model's place in `Evaluation.models`."""
    metric: str
    """A name of `engine.evaluation.measures.MEASURES`: `perplexity`, `rouge_l` …"""
    value: float
    low: float | None = None
    """The 95 % bootstrap interval."""
    high: float | None = None
    rows: int = 0
    """How many rows it is of."""
    difference: float | None = None
    """To `models[0]` on the same rows; positive is larger, which is not always better."""
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    """Of the paired test that there is no difference."""


@dataclass(frozen=True)
class RegistryVersion:
    """A version of a named adapter. Its folder `registry/NAME/vN/` holds adapter, `model_info.json` and card."""

    name: str
    version: int
    """From 1."""
    created: float
    run: str
    """The run whose adapter it is; the run may be gone."""
    base: str
    """The base model's name, and its `revision` where that is known."""
    revision: str
    dataset: str
    """The id of the dataset version it was trained on."""
    description: str
    tags: tuple[str, ...]
    info: dict[str, Any] = field(default_factory=dict)
    """What `model_info.json` says."""
