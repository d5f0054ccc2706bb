"""Made-up conversations with the lengths of real ones, for measuring: seeded, the same on every machine."""

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

NEEDLE = "zebrafish"
NEEDLE_EVERY = 5_000
"""A word that only every so-manieth row has."""


def conversations(
    count: int, *, duplicates: float = 0.0, near: float = 0.0, seed: int = 1
) -> Iterator[dict[str, object]]:
    """`count` rows in the `messages` shape: 2 to 6 turns, about 600 characters, some metadata.

    `duplicates` and `near` are the shares of rows that repeat an earlier one exactly, or but for a few words.
    """
    chance = random.Random(seed)
    kept: list[list[dict[str, str]]] = []
    for number in range(count):
        draw = chance.random()
        if kept and draw < duplicates:
            messages = chance.choice(kept)
        elif kept and draw < duplicates + near:
            messages = [dict(turn) for turn in chance.choice(kept)]
            words = messages[-1]["content"].split()
            words[chance.randrange(len(words))] = "changed"
            messages[-1]["content"] = " ".join(words)
        else:
            messages = []
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                messages.append({"role": "user", "content": sample_text(chance, 6, 24) + "?"})
                messages.append({"role": "assistant", "content": sample_text(chance, 20, 110) + "."})
            if number % NEEDLE_EVERY == NEEDLE_EVERY - 1:
                messages[-1]["content"] += f" A {NEEDLE} swims."
            if len(kept) < 5_000:
                kept.append(messages)
        yield {"messages": messages, "source": f"part-{number % 7}", "metadata": {"score": round(chance.random(), 3)}}


def write_jsonl(path: Path, count: int, *, duplicates: float = 0.0, near: float = 0.0) -> Path:
    """The conversations as a file."""
    with path.open("w", encoding="utf-8") as file:
        for row in conversations(count, duplicates=duplicates, near=near):
            file.write(json.dumps(row) + "\n")
    return path


@lru_cache(maxsize=1)
def _words() -> list[str]:
    """The words of the sample text, each as often as it occurs there."""
    text = (Path(__file__).parents[1] / "samples" / "starter.jsonl").read_text(encoding="utf-8")
    turns = (turn["content"] for line in text.splitlines() for turn in json.loads(line)["messages"])
    return [word for content in turns for word in content.split()]


def sample_text(chance: random.Random, least: int, most: int) -> str:
    """`least` to `most` words, in runs as they stand in the sample text: tokenizers and compressors see real text."""
    words = _words()
    wanted = chance.randint(least, most)
    found: list[str] = []
    while len(found) < wanted:
        start = chance.randrange(len(words))
        found += words[start : start + chance.randint(2, 9)]
    return " ".join(found[:wanted])
