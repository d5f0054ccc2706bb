"""What comes of talking to models: votes, answers to prompt suites, knowledge to look things up in."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Winner(StrEnum):
    """The closed set of what a vote can say."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"


@dataclass(frozen=True)
class Vote:
    """One judgement of two answers to the same conversation. Models are `base:NAME` or a run's id."""

    id: str
    t: float
    voter: str
    """Who voted: a person's name, or `judge:MODEL`."""
    criterion: str
    """`overall`, or what the judgement is about: helpful, warm …"""
    left: str
    right: str
    winner: Winner
    conversation: tuple[dict[str, str], ...]
    """The messages that were answered, the last one the user's. Of several turns, what the two said in between is one
    message with `left` and `right` in place of `content`."""
    left_text: str
    right_text: str
    note: str = ""
    suite: str = ""
    """The id of the dataset that the prompt comes from; empty where it was typed."""
    position: int = -1
    """The prompt's row in that suite."""


@dataclass(frozen=True)
class SuiteRun:
    """One time that some models were asked a prompt suite. `suite` is the id of a dataset of prompts."""

    id: str
    suite: str
    name: str
    created: float
    models: tuple[str, ...]
    """`base:NAME` or run ids, in the order of the columns."""
    sampling: dict[str, Any]
    prompts: int
    """How many prompts were to be asked."""
    ended: float | None = None


@dataclass(frozen=True)
class SuiteAnswer:
    """What one model of a suite run said to one turn of one prompt."""

    suite_run: str
    model: int
    """The model's place in `SuiteRun.models`."""
    position: int
    turn: int
    text: str
    tokens: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Knowledge:
    """A named collection of notes that answers can be based on."""

    name: str
    created: float
    sources: int
    passages: int
    size_bytes: int


@dataclass(frozen=True)
class Passage:
    """A piece of a note that matches a question. `score` is larger for a better match."""

    knowledge: str
    source: str
    """The file's path as it was added."""
    title: str
    """Its heading, or the file's name."""
    text: str
    score: float
    place: int = 0
    """Which passage of its source it is, from 0."""
    about: dict[str, Any] = field(default_factory=dict)
    """What more is known: the page of a PDF, the line."""
