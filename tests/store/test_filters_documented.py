"""docs/filters.md says all that the language has, and what it shows works."""

import re
from pathlib import Path

import pytest

from store import Store
from store.language import OPERATORS
from store.quantities import day_words
from store.run_language import HAS, IS, KEYS, PARTS
from tests.store.builders import add_points, new_run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")


def test_every_key_and_word_of_the_language_is_in_the_docs() -> None:
    written = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert set(KEYS) <= written
    assert {*IS, *HAS} <= written
    assert set(day_words(0.0)) <= written
    assert {f"eval/loss.{part}" for part in PARTS} <= written
    assert all(f'"{operator}"' in PAGE for operator in OPERATORS)


@pytest.mark.parametrize("example", sorted(set(re.findall(r"`([\w./-]+(?:[:=<>~!]+)[^`\s…]+)`", PAGE))))
def test_what_the_docs_show_is_understood(store: Store, example: str) -> None:
    store.runs.add(new_run("r1"))
    add_points(store, "r1", {"eval/loss": [(1, 1.0, 1.0)]})
    store.runs.order(example)
