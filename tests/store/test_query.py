"""The filter language, on real rows."""

import pytest

from store import QueryError, Store
from store.language import MOST_TERMS
from store.query import compile
from store.records import Status
from store.run_language import RUNS
from tests.store.builders import new_run

ALL = ["emoji", "support", "plain"]


@pytest.fixture(autouse=True)
def runs(store: Store) -> None:
    store.runs.add(
        new_run("aaa1", "emoji", model="Qwen/Qwen2.5-1.5B", dataset="Emoji-Chat v3", tags=("Nightly", "a b"))
    )
    store.runs.add(new_run("bbb2", "support", method="lora", dataset_id="dffff"))
    store.runs.add(new_run("ccc3", "plain", model="Llama-3.2", tags=("old",)))
    store.runs.set_note("bbb2", "The ÜBERGROSS one: 100% (don't keep)")
    store.runs.finish("bbb2", Status.FAILED, "out of memory", 5.0)
    store.runs.finish("ccc3", Status.SUCCEEDED, "", 5.0)


def names(store: Store, query: str) -> list[str]:
    found = [run.name for run in store.runs.list(query, descending=False)]
    assert store.runs.count(query) == len(found)
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ALL),
        ("   ", ALL),
        ("emoji", ["emoji"]),
        ("EMOJI qwen", ["emoji"]),
        ("emoji llama", []),
        ("bbb2", ["support"]),
        ("nightly", ["emoji"]),
        ("starter", ["support"]),
        ("übergross", ["support"]),
        ('"one: 100%"', ["support"]),
        ('"100% (don\'t"', ["support"]),
        ("100%", ["support"]),
        ("_", []),
        ("%", ["support"]),
        ("status:running", ["emoji"]),
        ("status:queued", ["emoji"]),
        ("status:failed", ["support"]),
        ("status:Fail", ["support"]),
        ("status:done", ["plain"]),
        ("STATUS:succeeded", ["plain"]),
        ("status:", ALL),
        ("model:qwen", ["emoji"]),
        ('model:"QWEN/Qwen2.5-1.5B"', ["emoji"]),
        ("tag:nightly", ["emoji"]),
        ("tag:night", []),
        ('tag:"a b"', ["emoji"]),
        ("method:lora", ["support"]),
        ("dataset:emoji", ["emoji"]),
        ("dataset:dffff", ["support"]),
        ("-emoji", ["support", "plain"]),
        ("NOT emoji", ["support", "plain"]),
        ("-tag:old -status:failed", ["emoji"]),
        ('-"emoji" status:done', ["plain"]),
        ("--emoji", ["emoji"]),
        ("emoji AND qwen", ["emoji"]),
        ("emoji OR tag:old", ["emoji", "plain"]),
        ("status:failed OR status:done -tag:old", ["support"]),
        ("(emoji OR support) -qwen", ["support"]),
        ("NOT (emoji OR support)", ["plain"]),
        ("emoji plain", []),
        # still being typed
        ('"emoji', ["emoji"]),
        ('model:"qwen', ["emoji"]),
        ("emoji OR", ["emoji"]),
        ("OR", ALL),
        ("emoji NOT", ["emoji"]),
        ("emoji -", ["emoji"]),
        ("emoji (", ["emoji"]),
        ("(emoji", ["emoji"]),
        ("emoji )", ["emoji"]),
        (") emoji", ["emoji"]),
        ('""', ALL),
        ("\0emoji", ["emoji"]),
    ],
)
def test_query(store: Store, query: str, expected: list[str]) -> None:
    assert names(store, query) == expected


def test_words_do_not_match_across_fields(store: Store) -> None:
    assert names(store, '"emoji aaa1"') == []


@pytest.mark.parametrize(
    "query",
    [
        "'; DROP TABLE runs; --",
        '"\'; DROP TABLE runs; --"',
        "x' OR '1'='1",
        "status:'failed' UNION SELECT * FROM tags",
        "tag:x') OR 1=1 --",
        'model:"%\' OR 1 --"',
        "name:?1 ?2 :a @b $c",
    ],
)
def test_text_stays_text(store: Store, query: str) -> None:
    try:
        sql, parameters = compile(query, RUNS)
    except QueryError:
        pass
    else:
        assert "DROP" not in sql
        assert "UNION" not in sql
        assert sql.count("?") == len(parameters)
        assert names(store, query) in ([], ["support"])
    assert names(store, "") == ALL


def test_an_unknown_key_names_those_that_there_are() -> None:
    with pytest.raises(QueryError) as caught:
        compile("colour:red", RUNS)
    assert "'colour'" in caught.value.what
    assert all(key in caught.value.why for key in ("status", "model", "tag", "method", "dataset"))
    assert '"colour:red"' in caught.value.fix
    with pytest.raises(QueryError, match="no status 'red'") as caught:
        compile("status:red", RUNS)
    assert "stopped" in caught.value.fix


def test_a_quoted_colon_is_no_key(store: Store) -> None:
    assert names(store, '"colour:red"') == []


def test_a_filter_has_an_end(store: Store) -> None:
    assert names(store, "emoji " * MOST_TERMS) == ["emoji"]
    for query in ("e " * (MOST_TERMS + 1), "(" * 5000, "-" * 5000 + "a"):
        with pytest.raises(QueryError, match="more than"):
            compile(query, RUNS)


def test_sorting(store: Store) -> None:
    assert [run.name for run in store.runs.list(sort="name", descending=False)] == ["emoji", "plain", "support"]
    assert [run.name for run in store.runs.list(sort="ended")][-1] == "emoji", "what has not ended comes last"
    assert [run.name for run in store.runs.list(sort="ended", descending=False)][-1] == "emoji"
    with pytest.raises(QueryError, match="cannot be sorted") as caught:
        store.runs.list(sort="name; DROP TABLE runs")
    assert "tokens_per_s" in caught.value.fix
