"""Runs of the starter model that have a fault, and runs that have none: what `benchmarks.diagnosis` trains and judges.

`diagnosis_cases.toml` lists them. Half of them are for tuning the rules. The others (`held`) were left out of that, and
are reported apart.
"""

import json
import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Rows = list[tuple[list[dict[str, str]], str]]
"""Messages of a row, and its split."""

SAMPLES = Path(__file__).parents[1] / "samples"
SEED = 11


@dataclass(frozen=True)
class Case:
    """One run, as a line of `diagnosis_cases.toml` says. `changes` are over `PLAIN`."""

    name: str
    data: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    poison_at: int | None = None
    drag_s: float = 0.0
    dead: bool = False
    held: bool = False

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.must <= {"healthy"}


PLAIN: dict[str, Any] = {
    "dataset": "made",
    "method": "lora",
    "max_length": 128,
    "packing": False,
    "padding_free": False,
    "train_sampling_strategy": "random",
    "gradient_checkpointing": False,
    "lora_r": 16,
    "lora_alpha": 32,
    "learning_rate": 2e-3,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 16,
    "gradient_accumulation_steps": 1,
    "precision": "fp32",
    "rehearse": False,
    "early_stopping_patience": 0,
    "sample_prompts": ["Hello."],
    "sample_max_new_tokens": 1,
}


def rows_of(name: str) -> Rows:
    """The rows of a dataset by its name, the same every time: `emoji-40` has forty training rows."""
    kind, _, size = name.partition("-")
    return _MAKERS[kind](int(size) if size else 0)


def _sample(file: str) -> list[list[dict[str, str]]]:
    lines = (SAMPLES / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [
        [{"role": turn["role"], "content": turn["content"]} for turn in json.loads(line)["messages"]] for line in lines
    ]
    random.Random(SEED).shuffle(rows)
    return rows


def _split(rows: list[list[dict[str, str]]], size: int, validation: int = 24) -> Rows:
    """`size` training rows (0: all there are), and others for validation."""
    kept, rest = rows[:validation], rows[validation:]
    return [(row, "train") for row in rest[: size or None]] + [(row, "validation") for row in kept]


def _orders() -> list[list[dict[str, str]]]:
    """Questions whose answers follow from them by a rule, so that what is learnt from some holds for the others."""
    chance = random.Random(SEED)
    items = ("lamp", "chair", "table", "kettle", "coat", "phone", "book", "bag", "clock", "rug", "desk", "shelf")
    places = {"north": "Monday", "south": "Tuesday", "east": "Wednesday", "west": "Thursday", "centre": "Friday"}
    found = []
    for item in items:
        for place, day in places.items():
            for amount in ("one", "two", "three", "four", "five", "six", "ten"):
                asked = f"I ordered {amount} {item}{'' if amount == 'one' else 's'} to the {place}. When do they come?"
                said = f"Your {item} order of {amount} goes out to the {place} and comes on {day}."
                found.append([{"role": "user", "content": asked}, {"role": "assistant", "content": said}])
    chance.shuffle(found)
    return found


def _noise(count: int) -> list[list[dict[str, str]]]:
    """Answers that nothing can tell: there is a loss below which no model comes on rows it has not seen."""
    chance = random.Random(SEED)
    return [
        [
            {"role": "user", "content": f"What is the code of box {number}?"},
            {"role": "assistant", "content": " ".join(str(chance.randrange(10)) for _ in range(12))},
        ]
        for number in range(count)
    ]


def _leaking(rows: Rows) -> Rows:
    """The same, with validation rows that training has as well."""
    train = [row for row, split in rows if split == "train"]
    return [(row, "train") for row in train] + [(row, "validation") for row in train[: max(8, len(train) // 4)]]


_MAKERS: dict[str, Callable[[int], Rows]] = {
    "support": lambda size: _split(_sample("support"), size),
    "emoji": lambda size: _split(_sample("emoji"), size),
    "starter": lambda size: _split(_sample("starter"), size),
    "orders": lambda size: _split(_orders(), size, 40),
    "noise": lambda size: _split(_noise(size + 24), size),
    "leakemoji": lambda size: _leaking(_split(_sample("emoji"), size)),
    "leaksupport": lambda size: _leaking(_split(_sample("support"), size)),
    "leaknoise": lambda size: _leaking(_split(_noise(size + 24), size)),
    "alone": lambda size: _split(_orders(), size, 0),
    "aloneemoji": lambda size: _split(_sample("emoji"), size, 0),
}


SHARED = frozenset({"slowing"})
"""What may be found out about any of them: they were trained on a machine that others used too."""


def _read(path: Path) -> tuple[Case, ...]:
    found = []
    for name, told in tomllib.loads(path.read_text(encoding="utf-8")).items():
        must, may = frozenset(told.pop("must")), frozenset(told.pop("may", ())) | SHARED
        found.append(Case(name, told.pop("data"), told.pop("set", {}), must, may, **told))
    return tuple(found)


CASES = _read(Path(__file__).with_suffix(".toml"))
