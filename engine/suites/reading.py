"""Prompt suites as they are asked: a dataset's rows as turns, with a category and references where they have some."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row
from engine.errors import BadInput, NotFound
from engine.toml import read_toml
from store.records import Dataset

SHIPPED = "everyday"
"""The suite that comes with finetui; it is imported when it is first asked for."""
MOST_PROMPTS = 10_000
_CATEGORIES = ("category", "topic", "intent", "task", "subject")
_REFERENCES = ("reference", "references", "expected", "ideal", "target")


@dataclass(frozen=True)
class SuitePrompt:
    """One row of a suite. `position` is the row's place in the dataset."""

    position: int
    turns: tuple[str, ...]
    """What the user says, one text a turn; each is asked after the model's own answer to the one before."""
    category: str = ""
    references: tuple[str, ...] = ()
    """A good answer to each turn, as far as there are some."""
    system: str = ""

    def reference(self, turn: int) -> str:
        return self.references[turn] if turn < len(self.references) else ""


@dataclass(frozen=True)
class Suite:
    """A dataset as prompts."""

    id: str
    name: str
    version: int
    prompts: tuple[SuitePrompt, ...]
    removed: bool = False
    """Whether the dataset is gone; the prompts are those that were kept with the answers."""

    @property
    def turns(self) -> int:
        """Questions in all."""
        return sum(len(prompt.turns) for prompt in self.prompts)

    @property
    def categories(self) -> list[str]:
        """The categories, in the order in which they are met."""
        return list(dict.fromkeys(prompt.category for prompt in self.prompts if prompt.category))

    def first(self, prompts: int) -> "Suite":
        """The suite without what comes after so many prompts."""
        return replace(self, prompts=self.prompts[:prompts])


def suite_datasets(library: DatasetLibrary) -> list[Dataset]:
    """The suites of this home, newest first."""
    return [dataset for dataset in library.list() if dataset.shape == "prompts"]


def find_suite(library: DatasetLibrary, text: str) -> Dataset:
    """The suite that is meant: a dataset's name or id, a file of prompts, or `everyday`, the one that is shipped.

    A file is imported under its own name; the same file again is the same suite. Raises `NotFound`, `BadInput`.
    """
    path = Path(text).expanduser()
    if path.suffix.lower() in (".jsonl", ".json", ".toml", ".csv", ".txt", ".parquet") and path.is_file():
        return import_suite(library, path)
    try:
        return library.resolve(text)
    except NotFound as error:
        if text.strip() == SHIPPED:
            return import_shipped(library)
        raise NotFound(
            f"There is no suite {text!r}.",
            why=error.why,
            fix=f"Name a dataset or a file of prompts, or {SHIPPED}: twenty prompts that come with finetui.",
        ) from error


def import_shipped(library: DatasetLibrary) -> Dataset:
    """The suite that comes with finetui, as a dataset of this home."""
    with resources.as_file(resources.files("samples") / "suites" / f"{SHIPPED}.jsonl") as path:
        return import_suite(library, path)


def import_suite(library: DatasetLibrary, path: Path, name: str | None = None) -> Dataset:
    """A file of prompts as a dataset. TOML has a `[[prompts]]` table a prompt. Raises `BadInput`."""
    if path.suffix.lower() != ".toml":
        return library.import_file(path, name=name, shape="prompts")
    rows = _toml_prompts(path)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / f"{path.stem}.jsonl"
        converted.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
        return library.import_file(converted, name=name or path.stem, shape="prompts", origin=path.name)


def read_suite(library: DatasetLibrary, dataset: Dataset) -> Suite:
    """The prompts of a dataset. Of conversations, what the user says is asked, and the answers are the references.

    Raises `BadInput` where no row has a user's turn, and for more than `MOST_PROMPTS` rows.
    """
    if dataset.rows > MOST_PROMPTS:
        raise BadInput(
            f"{dataset.name} has {dataset.rows:,} rows; a suite has at most {MOST_PROMPTS:,}.",
            fix=f"Make a smaller one: finetui datasets subset {dataset.name} --size 200 --name NAME.",
        )
    read = (_prompt(row) for row in library.iterate(dataset.id))
    prompts = tuple(prompt for prompt in read if prompt.turns)
    if not prompts:
        raise BadInput(
            f"{dataset.name} holds nothing to ask.",
            why=f"Its rows are of the shape {dataset.shape}; none has a turn of the user.",
            fix="Import a file with a column `prompt`, or `turns` for several turns.",
        )
    return Suite(dataset.id, dataset.name, dataset.version, prompts)


def _prompt(row: Row) -> SuitePrompt:
    turns = [(turn.role, turn.content) for turn in row.messages]
    asked = [place for place, (role, _) in enumerate(turns) if role == "user"]
    answers = [
        next((text for role, text in turns[place + 1 : following] if role == "assistant"), "")
        for place, following in pairwise([*asked, len(turns)])
    ]
    if row.chosen and answers and not answers[-1]:
        answers[-1] = next((turn.content for turn in row.chosen if turn.role == "assistant"), "")
    return SuitePrompt(
        row.index,
        tuple(turns[place][1] for place in asked),
        _first_text(row.metadata, _CATEGORIES),
        tuple(answers) if any(answers) else _references(row.metadata),
        next((text for role, text in turns if role == "system"), ""),
    )


def _first_text(metadata: dict[str, Any], names: Sequence[str]) -> str:
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _references(metadata: dict[str, Any]) -> tuple[str, ...]:
    for name in _REFERENCES:
        value = metadata.get(name)
        if isinstance(value, str) and value.strip():
            return (value,)
        if isinstance(value, list) and any(isinstance(item, str) and item for item in value):
            return tuple(item if isinstance(item, str) else "" for item in value)
    return ()


def _toml_prompts(path: Path) -> list[dict[str, Any]]:
    try:
        found = read_toml(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as TOML.", why=str(error)) from error
    rows = found.get("prompts")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{path} holds no prompts.", fix='Write each as [[prompts]] with turns = ["…"].')
    return rows
