"""Whatever is typed: an answer or a `QueryError`, the same rows as a look at each run gives, and nothing but rows."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import QueryError, Store, open_store
from store.completion import completed
from store.language import OPERATORS
from store.query import compile
from store.run_language import KEYS, PARTS, RUNS
from tests.store.builders import add_points, new_run

RUN_COUNT = 12
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("asked") / "finetui.db")
    for at in range(RUN_COUNT):
        store.runs.add(new_run(f"r{at:02}", recipe={"lora_r": at, "kind": "ab"[at % 2]}, tags=(f"t{at % 3}",)))
        if at % 2:
            add_points(store, f"r{at:02}", {"eval/loss": [(1, float(at), 1.0), (5, at / 2, 2.0)]})
    yield store
    store.close()


keys = st.sampled_from(
    [*KEYS, "cfg.lora_r", "cfg.x", "eval/loss", "a/b", "eval/loss@3", *(f"eval/loss.{p}" for p in PARTS)]
)
values = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["1", "1e-", "-", "nan", "inf", "8GB", "7d", "1h30", "50%", "2026-", "today", "..", "1..3", "none", '"', "'"]
    ),
    st.integers().map(str),
    st.floats().map(str),
)
comparison = st.builds("".join, st.tuples(keys, st.sampled_from([*OPERATORS, ":", ":>", " < "]), values))
pieces = st.one_of(
    comparison, st.text(max_size=12), st.sampled_from(["AND", "OR", "NOT", "-", "(", ")", '"', "cfg.", "@"])
)
queries = st.lists(pieces, max_size=8).map(" ".join)


@quick
@given(query=queries)
def test_any_text_is_answered_or_refused_in_words(asked: Store, query: str) -> None:
    try:
        found = asked.runs.order(query)
    except QueryError as error:
        assert error.what
        assert error.fix
        return
    assert len(found) == asked.runs.count(query)
    assert len(asked.runs.list(query)) == len(found)
    assert isinstance(asked.runs.hint(query), str)


@quick
@given(query=queries)
def test_what_a_filter_leaves_out_its_opposite_finds(asked: Store, query: str) -> None:
    from store.language import EVERYTHING, Not, parse

    try:
        term = parse(query)
        found = asked.runs.order(term)
        rest = asked.runs.order(Not(term))
    except QueryError:
        return
    if term != EVERYTHING and len(found) < RUN_COUNT:
        assert sorted([*found, *rest]) == sorted(asked.runs.order())


@quick
@given(text=st.text(min_size=1, max_size=20), key=keys, operator=st.sampled_from([*OPERATORS, ":"]))
def test_typed_text_only_gets_into_parameters(text: str, key: str, operator: str) -> None:
    """The SQL of a filter is the same whatever is looked for, but for the ways there are to look."""
    marked = f"zq{text}zq".replace('"', "")
    for query in (
        f'{key}{operator}"{marked}"',
        f'"{marked}"',
        f'"{marked}/x"<5',
        f'cfg.kind="{marked}"',
        f'has:"{marked}/x"',
    ):
        try:
            sql, parameters = compile(query, RUNS)
        except QueryError:
            continue
        assert "zq" not in sql
        assert sql.count("?") == len(parameters)


@quick
@given(text=queries, cursor=st.integers(-2, 60))
def test_anything_can_be_completed_anywhere(asked: Store, text: str, cursor: int) -> None:
    for one in asked.runs.complete(text, cursor):
        assert 0 <= one.start <= max(0, min(cursor, len(text))) <= one.end <= len(text)
        whole, at = completed(text, one)
        assert whole[:at].endswith(one.insert)


@quick
@given(
    low=st.floats(-2, 14), sign=st.sampled_from(["<", "<=", ">", ">="]), part=st.sampled_from(["last", "min", "max"])
)
def test_metrics_are_compared_as_numbers(asked: Store, low: float, sign: str, part: str) -> None:
    found = set(asked.runs.order(f"eval/loss.{part}{sign}{low!r}"))
    for run in asked.runs.list():
        latest = run.metrics.get("eval/loss")
        value = getattr(latest, part) if latest else None
        holds = value is not None and {"<": value < low, "<=": value <= low, ">": value > low, ">=": value >= low}[sign]
        assert (run.id in found) is holds
