"""Any filter of datasets, chats and rows of data: an answer, or an error of its own; quoted text is what was quoted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.datasets.conditions import METADATA, NUMBERS, SWITCHES, TEXTS, compile_filter
from engine.datasets.rows import Row, Turn
from engine.errors import BadInput
from store import QueryError, Store, open_store
from store.language import MOST_TERMS, OPERATORS, Compare, Word, comparisons, parse
from store.other_languages import CHATS, DATASETS
from store.query import compile
from store.records import Chat, Message
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import inside, plain_text, scalar, text

FIELDS = [*NUMBERS, "tokens", *TEXTS, *SWITCHES, f"{METADATA}x", f"{METADATA}a.b", *DATASETS.keys, *CHATS.keys, "x"]
WORDS = ["1", "-1", "1e999", "nan", "٣", "true", "none", "8GB", "7d", "1..3", "today", '"', "'", "*", "train", "0x1"]

condition = st.builds(
    "".join,
    st.tuples(st.sampled_from(FIELDS), st.sampled_from([*OPERATORS, ":", " < "]), st.sampled_from(WORDS) | text),
)
joint = st.sampled_from(["AND", "OR", "NOT", "-", "(", ")", '"', ":", "\0", "("])
filters = st.lists(condition | joint | plain_text, max_size=6).map(" ".join) | text
"""What somebody might type, or paste."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("filters") / "finetui.db")
    opened.chats.add(Chat("c1", "Where is my order?", 10.0, 10.0, ("base", "r1"), "Be kind.", {"temperature": 0.7}))
    opened.chats.tag("c1", ["keep"])
    opened.chats.append(Message("c1", 0, -1, "user", "Where is it?", 11.0))
    yield opened
    opened.close()


def check_filter(store: Store, query: str) -> None:
    for language in (DATASETS, CHATS):
        try:
            sql, parameters = compile(query, language)
            assert sql.count("?") == len(parameters)
        except QueryError as error:
            assert error.what
    for ask in (store.datasets.list, store.chats.list):
        try:
            ask(query)
        except QueryError as error:
            assert error.what and error.fix


@examples(40)
@given(filters)
def test_any_filter_is_answered_or_refused(store: Store, query: str) -> None:
    check_filter(store, query)


@pytest.mark.parametrize("path", cases("filters"), ids=lambda path: path.name)
def test_filters_that_were_found(store: Store, path: Path) -> None:
    query = path.read_bytes().decode("utf-8", "surrogatepass")
    check_filter(store, query)
    check_row_filter(query, {"x": 10**400, "a": {"b": "\ud800"}})


def check_row_filter(query: str, metadata: dict[str, Any]) -> None:
    row = Row(0, "train", (Turn("user", "hello"), Turn("assistant", "hi")), metadata)
    try:
        chosen = compile_filter(query)
    except BadInput as error:
        assert error.what
        return
    assert chosen.matches(row, 3) in (True, False)


@examples(40)
@given(filters, st.fixed_dictionaries({"x": scalar | inside, "a": inside}))
def test_any_filter_of_rows_decides_or_is_refused(query: str, metadata: dict[str, Any]) -> None:
    check_row_filter(query, metadata)


@examples(25)
@given(st.text().filter(lambda found: found and '"' not in found and "\0" not in found and found != "-"))
def test_what_is_quoted_is_looked_for_as_it_stands(words: str) -> None:
    assert parse(f'"{words}"') == Word(words)
    assert parse(f'name:"{words}"') == Compare("name", ":", words, quoted=True)
    assert parse(f'name = "{words}"') == Compare("name", "=", words, quoted=True)
    assert [one.value for one in comparisons(parse(f'NOT (a:"{words}" OR b!="{words}")'))] == [words, words]


@pytest.mark.parametrize("opened", ["NOT (name:a ", "NOT (name!=b AND NOT model:c OR x ", "(", "(name:a OR "])
@pytest.mark.parametrize("word", ["x", "NOT tag:a", "-eval/loss.min<1", "cfg.lora_r=1"])
def test_a_filter_of_any_depth_is_answered_or_refused(store: Store, opened: str, word: str) -> None:
    """SQLite's own parser gives up soon: what it would not read is refused before."""
    for depth in range(1, 16):
        try:
            store.runs.list(opened * depth + word)
        except QueryError as error:
            assert depth > 3 and error.what


def test_not_and_not_is_nothing() -> None:
    assert parse("NOT NOT a") == parse("--a") == Word("a")
    assert parse("NOT " * (MOST_TERMS - 2) + "a") == Word("a")
