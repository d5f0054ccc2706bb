"""Probes: questions whose answer is beyond doubt, asked before and after to see what a model still knows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from engine.errors import BadInput, NotFound
from engine.evaluation.rows import EvaluationRow

GENERAL = "general"
SHIPPED = {
    GENERAL: "multiple choice: science, geography, arithmetic, language, common sense",
    "exact": "short answers in the model's own words, told by the first sentence",
    "starter": "for the starter model: sentences that it learnt, in and out of order",
}
"""The sets that come with finetui, and what they are."""
MOST_CHOICES = 20
_FIX = (
    'A line is {"question": …, "choices": ["…", "…"], "answer": 0} with the right choice counted from 0 (or its text), '
    'or {"question": …, "answer": "…", "accept": ["…"]}; "category" may be added.'
)


@dataclass(frozen=True)
class Probe:
    """A question with its right answer: one of `choices`, or words that the answer's first sentence has to have."""

    question: str
    expected: str
    """The right answer; of multiple choice the right choice."""
    choices: tuple[str, ...] = ()
    answer: int | None = None
    """Which of the choices is right, from 0."""
    accept: tuple[str, ...] = ()
    """Other answers that are as right."""
    category: str = ""

    def row(self, number: int) -> EvaluationRow:
        """The row of an evaluation that asks this."""
        about: dict[str, Any] = {"category": self.category} if self.category else {}
        if self.accept:
            about["accept"] = list(self.accept)
        asked = ({"role": "user", "content": self.question},)
        return EvaluationRow(number, asked, self.expected, self.choices, self.answer, about)


@dataclass(frozen=True)
class ProbeSet:
    """Probes under the name that people know; of a file of the user's own that is its path."""

    name: str
    probes: tuple[Probe, ...]

    @property
    def rows(self) -> tuple[EvaluationRow, ...]:
        return tuple(probe.row(number) for number, probe in enumerate(self.probes))


def probe_set(text: str = GENERAL) -> ProbeSet:
    """A shipped set by its name, or a JSONL file of the user's. Raises `NotFound`, or `BadInput` with the line."""
    if text in SHIPPED:
        with resources.as_file(resources.files("samples") / "probes" / f"{text}.jsonl") as path:
            return ProbeSet(text, _read(path))
    path = Path(text).expanduser()
    if not path.is_file():
        raise NotFound(
            f"There are no probes {text[:200]!r}.",
            fix=f"Choose {', '.join(SHIPPED)}, or give a JSONL file. {_FIX}",
        )
    return ProbeSet(str(path), _read(path))


def _read(path: Path) -> tuple[Probe, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The probes in {path.name} cannot be read.", why=str(error), fix=_FIX) from error
    probes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            probes.append(_probe(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise BadInput(f"Line {number} of {path.name} is no probe.", why=f"{error}.", fix=_FIX) from error
    if not probes:
        raise BadInput(f"There are no probes in {path.name}.", fix=_FIX)
    return tuple(probes)


def _probe(value: Any) -> Probe:
    """Raises `ValueError` with what is wrong."""
    if not isinstance(value, dict):
        raise ValueError("It is no JSON object")
    question, category = _text(value.get("question"), "question"), value.get("category") or ""
    if not isinstance(category, str):
        raise ValueError("Its category is no text")
    if value.get("choices") is None:
        accept = _texts(value.get("accept") or [], "accept")
        return Probe(question, _text(value.get("answer"), "answer"), accept=accept, category=category)
    choices = _texts(value["choices"], "choices")
    if not 2 <= len(choices) <= MOST_CHOICES or len(set(choices)) < len(choices):
        raise ValueError(f"It needs 2 to {MOST_CHOICES} choices that differ")
    right = _place(value.get("answer"), choices)
    return Probe(question, choices[right], choices, right, category=category)


def _place(answer: Any, choices: Sequence[str]) -> int:
    """Which of the choices is right: its place, or its text."""
    if isinstance(answer, str) and answer.strip() in choices:
        return choices.index(answer.strip())
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return answer
    raise ValueError("Its answer is none of its choices")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"It has no {name}")
    return value.strip()


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"Its {name} are no list of texts")
    return tuple(_text(one, f"text in its {name}") for one in value)
