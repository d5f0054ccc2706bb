"""Rows that models are measured on: a split of a dataset, the turns of a suite, probes."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row
from engine.errors import BadInput
from engine.evaluation.probes import ProbeSet
from engine.evaluation.rows import EvaluationRow
from engine.suites.reading import Suite
from engine.tokens.messages import is_text, learnt_turns, plain_text, template_messages
from store.records import Dataset

HELD_OUT = ("test", "validation")
"""Splits that are taken unless one is named, the first that is there."""


@dataclass(frozen=True)
class Chosen:
    """The rows of an evaluation. `data` is what they are of, `notes` what is to be known about the choice."""

    kind: str
    data: str
    name: str
    """What people call the data."""
    split: str
    rows: tuple[EvaluationRow, ...]
    notes: tuple[str, ...] = ()


def choose_split(library: DatasetLibrary, dataset: Dataset, split: str = "") -> Chosen:
    """The rows of a split that have an answer to compare with.

    Without a `split`, the test split, else the validation split. Raises `BadInput` where there is none, or it holds
    nothing to compare with.
    """
    taken = split or next((name for name in HELD_OUT if dataset.splits.get(name)), "")
    if not dataset.splits.get(taken):
        there = ", ".join(f"{name} ({rows:,})" for name, rows in dataset.splits.items()) or "none"
        raise BadInput(
            f"{dataset.name} v{dataset.version} has no rows held out"
            + (f" under the name {taken!r}." if taken else " for a test."),
            why=f"Its splits: {there}.",
            fix="Choose one of them with --split, or make one:\n"
            f"  finetui datasets split {dataset.name} --train 0.8 --validation 0.1 --test 0.1",
        )
    notes = []
    if taken == "validation":
        notes.append("The validation split also chose the best checkpoint: figures on it flatter the runs a little.")
    elif taken == "train":
        notes.append("The runs were trained on the split train: figures on it say nothing about new questions.")
    rows, without = [], 0
    for row in library.iterate(dataset.id):
        if row.split == taken:
            asked = split_row(row)
            rows += [asked] if asked else []
            without += asked is None
    if without:
        notes.append(f"{without:,} rows of the split have no answer to compare with and were left out.")
    if not rows:
        raise BadInput(
            f"The split {taken} of {dataset.name} holds no answers to compare with.",
            why=f"Its rows are of the shape {dataset.shape}.",
            fix="Take it as a suite instead: --suite " + dataset.name,
        )
    return Chosen("split", dataset.id, f"{dataset.name} v{dataset.version}", taken, tuple(rows), tuple(notes))


def split_row(row: Row) -> EvaluationRow | None:
    """The row up to its last answer, which is what is expected; `None` where it has none, or one that is not wanted."""
    if is_text(row):
        return EvaluationRow(row.index, (), plain_text(row)) if plain_text(row) else None
    turns = learnt_turns(row)
    last = max((place for place, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    if row.label is False or not last:
        return None
    *before, answer = template_messages(turns[: last + 1], "words")
    if not answer["content"] or not before:
        return None
    return EvaluationRow(row.index, tuple(before), answer["content"], about=_about(row))


def choose_suite(suite: Suite) -> Chosen:
    """The turns of a suite, each asked after the reference answers to those before; where there is none, the first."""
    rows: list[EvaluationRow] = []
    left_out = 0
    for prompt in suite.prompts:
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        for turn, asked in enumerate(prompt.turns):
            messages = [*messages, {"role": "user", "content": asked}]
            reference = prompt.reference(turn)
            about = {"prompt": prompt.position, "turn": turn} | (
                {"category": prompt.category} if prompt.category else {}
            )
            rows.append(EvaluationRow(len(rows), tuple(messages), reference or None, about=about))
            if not reference:
                left_out += len(prompt.turns) - turn - 1
                break
            messages = [*messages, {"role": "assistant", "content": reference}]
    notes = [f"{left_out:,} later turns were left out: the turns before them have no reference."] if left_out else []
    return Chosen("suite", suite.id, f"{suite.name} v{suite.version}", "", tuple(rows), tuple(notes))


def choose_probes(probes: ProbeSet) -> Chosen:
    """Questions whose answer is known."""
    return Chosen("retention", probes.name, Path(probes.name).stem, "", probes.rows)


def some(chosen: Chosen, rows: int | None, seed: int) -> Chosen:
    """At most so many rows, drawn by `seed`, in their order."""
    if rows is None or rows >= len(chosen.rows):
        return chosen
    drawn = sorted(random.Random(seed).sample(range(len(chosen.rows)), rows))
    note = f"{rows:,} of {len(chosen.rows):,} rows, drawn with seed {seed}."
    kept: Sequence[EvaluationRow] = [chosen.rows[place] for place in drawn]
    return Chosen(chosen.kind, chosen.data, chosen.name, chosen.split, tuple(kept), (*chosen.notes, note))


def trained_on(datasets: Sequence[Dataset]) -> Iterator[str]:
    """Notes where runs learnt from different datasets: what is held out of one may have been learnt by another."""
    if len({dataset.id for dataset in datasets}) > 1:
        names = ", ".join(dict.fromkeys(f"{dataset.name} v{dataset.version}" for dataset in datasets))
        yield f"The runs learnt from different datasets ({names}): rows held out of one may be known to another."


def _about(row: Row) -> dict[str, str]:
    """What rows can be grouped by."""
    for name in ("category", "topic", "intent", "task", "subject"):
        value = row.metadata.get(name)
        if isinstance(value, str) and value.strip():
            return {"category": value.strip()}
    return {}
