"""Which rows are alike: exact copies, near copies with a known likeness, and what is not alike for all it shares."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.datasets.similarity import exact_groups, near_between, near_groups, signatures
from engine.datasets.similarity.alike import Alike, bands, jaccard
from engine.datasets.similarity.shingles import compared, digests, shingle_sets
from engine.datasets.similarity.signing import Signatures
from engine.errors import BadInput, Cancelled
from engine.home import Home
from store import open_store
from store.records import Dataset
from tests.engine.test_datasets_library import written

WORDS = [f"word{index}" for index in range(5_000)]


@pytest.fixture
def library(home: Home) -> Iterator[DatasetLibrary]:
    store = open_store(home.ensure().db)
    library = DatasetLibrary(home, store)
    yield library
    library.close()
    store.close()


def made(library: DatasetLibrary, tmp_path: Path, rows: Sequence[Row], shape: str | None = None) -> Dataset:
    """A version with just these rows."""
    seed = library.import_file(written(tmp_path, [{"prompt": "p", "response": "r"}], "seed.jsonl"), name="seed")
    return library.derive(seed, rows, {"kind": "edit"}, name="data", shape=shape).dataset


def row(text: str, split: str = "train", *, prompt: str = "", **more: Any) -> Row:
    return Row(0, split, (Turn("user", prompt or "Tell me."), Turn("assistant", text)), {}, **more)


def edited(words: list[str], changes: int, generator: random.Random) -> list[str]:
    words = list(words)
    for place in generator.sample(range(len(words)), changes):
        words[place] = f"new{generator.random()}"
    return words


def test_shingles_are_three_words_but_for_case_and_spacing() -> None:
    texts = ["The quick brown fox jumps over the lazy dog", "the  QUICK brown fox\njumps over the lazy dog", "other"]
    shingles, sizes = shingle_sets([compared(row(text)) for text in texts])
    assert sizes.tolist()[:2] == [9, 9]  # eleven words, with "Tell me."
    assert shingles[:9].tolist() == shingles[9:18].tolist()
    assert list(shingles[:9]) == sorted(set(shingles[:9].tolist()))


def test_scripts_without_spaces_and_short_texts_have_shingles() -> None:
    def likeness(one: str, other: str) -> float:
        shingles, sizes = shingle_sets([(one,), (other,)])
        return jaccard(shingles[: sizes[0]], shingles[sizes[0] :])

    chinese = "今天天气很好我们一起去公园散步吧然后回家吃饭"
    assert 0.6 < likeness(chinese, chinese.replace("公", "花")) < 1
    assert likeness(chinese, "完全不同的另外一句话没有任何相似之处可言") == 0
    assert 0.8 < likeness("hello, how are you?", "hello, how are you") < 1
    assert likeness("a", "a") == 1.0
    assert likeness("", "") == 0.0


def test_what_all_rows_share_as_system_prompt_makes_none_alike() -> None:
    system = Turn("system", " ".join(WORDS[:300]))
    one, other = (Row(0, "train", (system, *row(text).messages), {}) for text in ("yes it is so", "no it never was"))
    assert compared(one) != compared(other)
    assert "word5" not in compared(one)[0]
    assert "word5" in compared(Row(0, "train", (system,), {}))[0]


def test_a_signature_estimates_the_likeness() -> None:
    generator = random.Random(1)
    for shared in (100, 300, 450):
        words = generator.sample(WORDS, 1_000 - shared)
        texts = [(" ".join(words[:500]),), (" ".join([*words[:shared], *words[500:]]),)]
        shingles, sizes = shingle_sets(texts)
        true = jaccard(shingles[: sizes[0]], shingles[sizes[0] :])
        signed = digests(shingles, sizes)
        assert abs(float((signed[0] == signed[1]).mean()) - true) < 0.15


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_find_what_is_at_the_threshold(threshold: float) -> None:
    count, width = bands(threshold)
    assert count * width <= 128
    assert 1 - (1 - threshold**width) ** count >= 0.999


def test_near_copies_are_found_and_nothing_else(library: DatasetLibrary, tmp_path: Path) -> None:
    """Recall and precision against the true likeness of every pair."""
    generator = random.Random(3)
    texts: list[list[str]] = []
    for _ in range(70):
        words = generator.choices(WORDS, k=120)
        texts.append(words)
        texts.extend(edited(words, changes, generator) for changes in (1, 2, 4, 8))
    generator.shuffle(texts)
    dataset = made(library, tmp_path, [row(" ".join(words)) for words in texts])
    found = signatures(library, dataset)
    true = {
        (one, other)
        for one in range(len(texts))
        for other in range(one + 1, len(texts))
        if len(set(texts[one]) & set(texts[other])) > 60 and jaccard(found.of(one), found.of(other)) >= 0.9
    }
    assert 100 < len(true) < 700
    groups = near_groups(library, dataset, 0.9)
    for first, *others in groups:
        assert all((min(first, other), max(first, other)) in true for other in others)
    kept = set(range(len(texts))) - {member for group in groups for member in group[1:]}
    assert not [pair for pair in true if set(pair) <= kept]
    chained = {
        member: place
        for place, group in enumerate(near_groups(library, dataset, 0.9, chained=True))
        for member in group
    }
    assert all(chained[one] == chained[other] for one, other in true)


def test_members_are_like_the_row_that_is_kept_not_only_like_each_other(
    library: DatasetLibrary, tmp_path: Path
) -> None:
    words = WORDS[:100]
    steps = [" ".join([*(f"new{index}" for index in range(shift)), *words[shift:]]) for shift in (0, 6, 12, 18)]
    dataset = made(library, tmp_path, [row(text) for text in steps])
    assert near_groups(library, dataset, 0.85) == [[0, 1], [2, 3]]
    assert near_groups(library, dataset, 0.85, chained=True) == [[0, 1, 2, 3]]


def test_the_training_row_is_the_one_to_keep(library: DatasetLibrary, tmp_path: Path) -> None:
    text = " ".join(WORDS[:80])
    rows = [
        row(text, "validation"),
        row(text + " end", "test"),
        row("something else entirely, no copy of it"),
        row(text),
    ]
    dataset = made(library, tmp_path, rows)
    assert exact_groups(library, dataset) == [[3, 0]]
    assert near_groups(library, dataset, 0.9) == [[3, 0, 1]]
    assert near_between(library, dataset, 0.9) == [(0, 3), (1, 3)]


def test_a_leak_is_found_where_the_training_row_is_itself_a_copy(library: DatasetLibrary, tmp_path: Path) -> None:
    words = WORDS[:100]
    steps = [" ".join([*(f"new{index}" for index in range(shift)), *words[shift:]]) for shift in (0, 6, 12)]
    rows = [row(steps[0]), row(steps[1]), row(steps[2], "validation")]
    dataset = made(library, tmp_path, rows)
    assert near_groups(library, dataset, 0.85) == [[0, 1]]
    assert near_between(library, dataset, 0.85) == [(2, 1)]


def test_exact_copies_differ_in_nothing_that_is_learnt(library: DatasetLibrary, tmp_path: Path) -> None:
    plain = row("answer")
    rows = [
        plain,
        Row(0, "train", plain.messages, {"source": "elsewhere"}),
        row("Answer"),
        row("answer", label=True),
        row("answer", tools='[{"name": "t"}]'),
        Row(0, "train", (plain.messages[0], Turn("assistant", "answer", '[{"name": "f", "arguments": {}}]')), {}),
    ]
    dataset = made(library, tmp_path, rows)
    assert exact_groups(library, dataset) == [[0, 1]]


def test_another_verdict_is_no_duplicate_but_stays_in_the_same_split(library: DatasetLibrary, tmp_path: Path) -> None:
    text = " ".join(WORDS[:50])
    dataset = made(library, tmp_path, [row(text, label=True), row(text, label=False), row(text, label=True)], "kto")
    assert near_groups(library, dataset, 0.9) == [[0, 2]]
    assert near_groups(library, dataset, 0.9, chained=True) == [[0, 1, 2]]


def test_pairs_with_their_answers_swapped_are_no_copies(library: DatasetLibrary, tmp_path: Path) -> None:
    good, bad = ((Turn("assistant", " ".join(WORDS[start : start + 40])),) for start in (0, 100))
    asked = (Turn("user", "Which?"),)
    rows = [Row(0, "train", asked, {}, one, other) for one, other in ((good, bad), (bad, good), (good, bad))]
    assert near_groups(library, made(library, tmp_path, rows, "preference"), 0.8) == [[0, 2]]


@pytest.mark.parametrize("own_words", [18, 30])
def test_a_crowd_that_shares_an_instruction_is_told_apart(own_words: int) -> None:
    """Rows with a long instruction in common agree in whole bands; the few that are copies are found among them."""
    import numpy as np

    generator = random.Random(5)
    instruction = generator.choices(WORDS, k=180)
    rows = [[*instruction, *generator.choices(WORDS, k=own_words)] for _ in range(900)]
    copies = {700 + place: place * 3 for place in range(50)}
    for copy, source in copies.items():
        rows[copy] = [*rows[source][:-1], f"new{copy}"]
    shingles, sizes = shingle_sets([(" ".join(words),) for words in rows])
    signed = digests(shingles, sizes)
    zeros = np.zeros(len(rows), np.int8)
    found = Signatures(signed, shingles, np.cumsum(sizes), zeros, zeros)
    groups = Alike(found, 0.97, np.arange(len(rows))).leaders()
    assert {group[1]: group[0] for group in groups} == copies
    assert all(len(group) == 2 for group in groups)


def test_signatures_are_made_once(library: DatasetLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made(library, tmp_path, [row("one two three"), row("four five six")])
    first = signatures(library, dataset)
    monkeypatch.setattr("engine.datasets.similarity.signing.scan", None)
    assert signatures(library, dataset) is first


def test_a_threshold_that_cannot_be_is_refused_and_a_search_can_be_given_up(
    library: DatasetLibrary, tmp_path: Path
) -> None:
    dataset = made(library, tmp_path, [row("one two three"), row("four five six")])
    for threshold in (0.2, 1.5, float("nan")):
        with pytest.raises(BadInput, match="no likeness") as error:
            near_groups(library, dataset, threshold)
        assert "0.5 to 1" in error.value.fix
    with pytest.raises(Cancelled):
        near_groups(library, dataset, 0.9, cancelled=lambda: True)
    heard: list[float] = []
    near_groups(library, dataset, 0.9, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
