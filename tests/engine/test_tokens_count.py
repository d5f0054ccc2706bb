"""The tokens of whole datasets: counted exactly, once, and what follows from them."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.datasets.library import DatasetLibrary
from engine.datasets.rows import Row, Turn
from engine.errors import Cancelled
from engine.home import Home
from engine.tokens import (
    TokenFigures,
    Tokenizer,
    chunk,
    count,
    dataset_tokens,
    encodings,
    render_row,
    row_counts,
    row_tokens,
    tiktoken_tokens,
)
from engine.tokens.chunk import COLUMNS, ByModel, count_rows
from engine.tokens.figures import lengths_histogram, packed_sequences, packing_fill, padding_waste
from engine.tokens.quick import quick_encoder
from store import open_store
from store.records import Dataset
from tests.engine.tokenizers_made import byte_level, prepared

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture
def library(home: Home) -> Iterator[DatasetLibrary]:
    store = open_store(home.ensure().db)
    library = DatasetLibrary(home, store)
    yield library
    library.close()
    store.close()


@pytest.fixture
def tokenizer(home: Home) -> Tokenizer:
    return prepared(home.root / "cache" / "tokenizers" / "k1")


def imported(library: DatasetLibrary, tmp_path: Path, rows: list[Any], name: str = "d") -> Dataset:
    file = tmp_path / f"{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return library.import_file(file, name=name, validation=0.0)


def talks(number: int) -> list[Any]:
    return [
        {"prompt": f"question {n} 🙂" * (n % 7 + 1), "response": f"the answer {n} " * (n % 5)} for n in range(number)
    ]


MANY = [row | {"response": row["response"] + "end"} for row in talks(60)]


def test_counts_are_those_of_the_rows_shown(library: DatasetLibrary, tokenizer: Tokenizer, tmp_path: Path) -> None:
    dataset = imported(library, tmp_path, MANY)
    counts = row_counts(library, dataset, tokenizer)
    rows = library.rows(dataset.id, limit=1000)
    shown = [render_row(row, tokenizer, max_length=None) for row in rows]
    assert counts.lengths.tolist() == [one.total for one in shown]
    assert counts.columns["trained"].tolist() == [one.trained for one in shown]
    first = [next(place for place, token in enumerate(one.tokens) if token.trained) for one in shown]
    assert counts.columns["prompt"].tolist() == first
    figures = dataset_tokens(library, dataset, tokenizer, max_length=40)
    assert figures.total == sum(one.total for one in shown) == sum(figures.by_role.values())
    assert figures.trained == sum(one.trained for one in shown)
    assert figures.cut["40"] == sum(one.total > 40 for one in shown)
    assert figures.untrained_rows == sum(not render_row(row, tokenizer, max_length=40).trained for row in rows)
    assert (figures.tokenizer, figures.rows) == ("small", 60) and figures.by_role["user"] > figures.by_role["assistant"]
    assert TokenFigures.from_json(library.tokens(dataset.id)["k1"]) == figures
    whole = row_counts(library, dataset, tokenizer, assistant_only=False)
    assert whole.columns["trained"].tolist() == whole.lengths.tolist() and whole.key != tokenizer.key


def test_other_kinds_of_rows_are_counted_as_shown(tmp_path: Path) -> None:
    tokenizer = prepared(
        tmp_path / "k",
        own="{% if messages | length > 3 %}{{ raise_exception('x') }}{% endif %}"
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    )
    user, answer = Turn("user", "q " * 9), Turn("assistant", "the answer")
    rows = [
        Row(0, "train", (Turn("text", "plain 🙂 text"),), {}),
        Row(1, "train", (user,), {}, (answer,), (Turn("assistant", "no"),)),
        Row(2, "train", (user, answer), {}, label=False),
        Row(3, "train", (user,), {}),
        Row(4, "train", (user, answer, user, answer), {}),
    ]
    counted = count_rows(rows, ByModel(str(tokenizer.folder), "own", True))
    shown = [render_row(row, tokenizer) for row in rows[:4]]
    assert counted[:4, 0].tolist() == [one.total for one in shown]
    assert counted[:, COLUMNS.index("trained")].tolist() == [shown[0].total, shown[1].trained, 0, 0, -1]
    assert counted[0, COLUMNS.index("text")] == shown[0].total


def test_rows_counted_before_are_not_counted_again(
    library: DatasetLibrary, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = imported(library, tmp_path, MANY)
    lengths = row_tokens(library, dataset, tokenizer)
    rows = library.rows(dataset.id, limit=1000)
    new = Row(0, "train", (Turn("user", "new"), Turn("assistant", "row")), {})
    made = library.derive(dataset, [new, *reversed(rows[10:50])], {"kind": "edit"}).dataset
    counted: list[int] = []

    def counting(rows: list[Row], how: Any) -> Any:
        counted.append(len(rows))
        return count_rows(rows, how)

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("it is all known")

    monkeypatch.setattr(count, "count_rows", counting)
    monkeypatch.setattr(count, "scan", refused)
    assert row_tokens(library, dataset, tokenizer).tolist() == lengths.tolist() and not counted
    found = row_tokens(library, made, tokenizer)
    assert counted == [1] and found[1:].tolist() == lengths[10:50][::-1].tolist()
    assert found[0] == render_row(new, tokenizer).total


def test_without_a_tokenizer_the_last_one_counts_else_the_bytes(
    library: DatasetLibrary, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))
    dataset = imported(library, tmp_path, MANY)
    estimated = row_counts(library, dataset)
    assert estimated.estimated and "4 bytes" in estimated.tokenizer and "cl100k_base" in estimated.note
    row = library.rows(dataset.id, limit=1)[0]
    assert estimated.lengths[0] == sum(-(-len(turn.content.encode()) // 4) for turn in row.messages)
    dataset_tokens(library, dataset, tokenizer)
    made = library.derive(dataset, library.rows(dataset.id, limit=9), {"kind": "subset"}).dataset
    assert row_counts(library, made).tokenizer == "small"
    assert row_tokens(library, made).tolist() == row_tokens(library, dataset, tokenizer)[:9].tolist()


def test_counting_can_be_given_up(library: DatasetLibrary, tokenizer: Tokenizer, tmp_path: Path) -> None:
    dataset = imported(library, tmp_path, MANY)
    with pytest.raises(Cancelled):
        row_tokens(library, dataset, tokenizer, cancelled=lambda: True)
    heard: list[float] = []
    row_tokens(library, dataset, tokenizer, progress=heard.append)
    assert heard[-1] == 1.0


def test_tiktoken_says_what_was_used_instead(
    library: DatasetLibrary, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "empty"))
    dataset = imported(library, tmp_path, MANY)
    by_bytes = tiktoken_tokens(library, dataset)
    assert by_bytes.estimated and "HF_HUB_OFFLINE" in by_bytes.note and by_bytes.by_role.keys() == {"user", "assistant"}
    instead = tiktoken_tokens(library, dataset, fallback=tokenizer)
    assert instead.total == dataset_tokens(library, dataset, tokenizer).total and "small instead" in instead.note
    monkeypatch.setattr(encodings, "hub_is_off", lambda: None)
    monkeypatch.setattr(encodings, "CONNECT_S", 0.2)
    monkeypatch.setattr(encodings, "_download", lambda *_: Event().wait(60))
    assert "no network" in encodings.find_encoding(library.home).problem
    monkeypatch.setattr(encodings, "_fetch", lambda *_: pytest.fail("asked again at once"))
    assert "no network" in encodings.find_encoding(library.home).problem


def test_the_file_of_an_encoding_is_used_where_it_is(
    library: DatasetLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the file: tiktoken itself is real."""
    import base64
    import hashlib
    from importlib import import_module

    import tiktoken

    public = import_module("tiktoken_ext.openai_public")

    content = b"".join(base64.b64encode(bytes([value])) + b" %d\n" % value for value in range(256))
    address = encodings.FILES["cl100k_base"][0]
    digest = hashlib.sha256(content).hexdigest()
    real = public.load_tiktoken_bpe
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda url, expected_hash: real(url, digest))
    monkeypatch.setitem(encodings.FILES, "cl100k_base", (address, digest))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    tiktoken.registry.ENCODINGS.pop("cl100k_base", None)
    chunk.encoding_count.cache_clear()
    (tmp_path / hashlib.sha1(address.encode()).hexdigest()).write_bytes(content)
    dataset = imported(library, tmp_path, MANY)
    figures = tiktoken_tokens(library, dataset)
    rows = library.rows(dataset.id, limit=1000)
    assert figures.tokenizer == "cl100k_base" and not figures.estimated
    assert figures.total == sum(len(turn.content.encode()) for row in rows for turn in row.messages)
    tiktoken.registry.ENCODINGS.pop("cl100k_base", None)
    chunk.encoding_count.cache_clear()


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    made = []
    for number, (pattern, normalizer) in enumerate(((None, None), (LLAMA_3, None), (LLAMA_3, "NFC"))):
        backend = byte_level(pattern=pattern, normalizer=normalizer, size=600)
        folder = tmp_path_factory.mktemp("quick") / f"k{number}"
        prepared(folder, backend)
        made.append((quick_encoder(folder / "tokenizer.json"), backend))
    return made


PARTS = ["<|im_start|>", "<|im_end|>", "user\n", " the answer", "it's", "IT'S", "  ", "\r\n", "\u00a0", "12345"]
PARTS += ["日本語", "🙂", "e\u0301", "é", "<|im", "\t", "\x1c", "\u2028", "ſ"]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(PARTS), max_size=20).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_the_quick_way_gives_the_very_same_tokens(encoders: list[tuple[Any, Any]], text: str) -> None:
    for quick, backend in encoders:
        assert quick is not None
        found = quick.encode(text)
        exact = backend.encode(text, add_special_tokens=False)
        if found is None:
            continue
        assert len(found) == len(exact)
        assert [found.char_to_token(at) for at in range(len(text))] == [
            exact.char_to_token(at) for at in range(len(text))
        ]


def test_what_cannot_be_done_quickly_is_done_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers import normalizers, pre_tokenizers

    other = byte_level()
    other.normalizer = normalizers.Lowercase()
    prepared(tmp_path / "lower", other)
    assert quick_encoder(tmp_path / "lower" / "tokenizer.json") is None
    other = byte_level()
    other.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    prepared(tmp_path / "digits", other)
    assert quick_encoder(tmp_path / "digits" / "tokenizer.json") is None
    # One that turns out to be wrong is noticed, and all of the rows are counted anew.
    tokenizer = prepared(tmp_path / "good")
    prepared(tmp_path / "bad", byte_level(["other words"], size=300))
    monkeypatch.setattr(chunk, "quick_encoder", lambda _: quick_encoder(tmp_path / "bad" / "tokenizer.json"))
    rows = [Row(n, "train", (Turn("user", "question"), Turn("assistant", "the answer " * n)), {}) for n in range(1, 9)]
    counted = count_rows(rows, ByModel(str(tokenizer.folder), "own", True))
    assert counted[:, 0].tolist() == [render_row(row, tokenizer).total for row in rows]


def test_histograms_have_round_edges_and_few_bins() -> None:
    for low, high in ((1, 3), (10, 4000), (900, 1100), (1, 200_000)):
        lengths = np.unique(np.geomspace(low, high, 500).astype(np.int32))
        bins = lengths_histogram(lengths)
        assert sum(count for *_, count in bins) == len(lengths) and len(bins) <= 20
        assert bins[0][0] <= low and bins[-1][1] > high
        assert all(one[1] == other[0] for one, other in pairwise(bins))


def test_padding_and_packing_are_weighed() -> None:
    same = np.full(1000, 100, dtype=np.int32)
    assert padding_waste(same) == 0 and packing_fill(same, 1000) == 1.0
    mixed = np.array([10, 1000] * 500, dtype=np.int32)
    assert padding_waste(mixed, 8) > 0.4 and padding_waste(mixed, 8, grouped=True) < 0.01
    assert packed_sequences([5, 5, 3, 7, 0], 10) == 2
    assert packed_sequences([6, 6, 6], 10) == 3


def test_the_advice_is_one_sentence_for_the_planner(
    library: DatasetLibrary, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    uneven = [{"prompt": "q", "response": "word " * (400 if n % 8 == 0 else 5)} for n in range(80)]
    figures = dataset_tokens(library, imported(library, tmp_path, uneven), tokenizer, max_length=1024)
    assert figures.advice.startswith("Pack: padding would waste") and figures.packing_fill > 1 - figures.padding_waste
    even = [{"prompt": "q", "response": f"word {n % 10}"} for n in range(80)]
    steady = dataset_tokens(library, imported(library, tmp_path, even, "even"), tokenizer)
    assert "gain little" in steady.advice
    short = dataset_tokens(library, imported(library, tmp_path, uneven), tokenizer, max_length=300)
    assert "max_length 300 cuts" in short.advice and "would cut" in short.advice
