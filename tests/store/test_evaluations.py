"""Evaluations and their figures; and runs by what they came to."""

from dataclasses import replace

import pytest

from store import Store
from store.errors import QueryError, StoreError
from store.evaluation_records import Evaluation, Measured
from tests.store.builders import new_run, the

ONE = Evaluation("e1", 10.0, "support", "split", "d1", "test", ("base:starter", "r1"), {"seed": 1}, 20)


def test_what_was_put_in_comes_out(store: Store) -> None:
    store.evaluations.add(ONE)
    assert store.evaluations.get("e1") == ONE and store.evaluations.get("e2") is None
    later = replace(ONE, id="e2", created=20.0, name="second", models=("path:/merged", "base:starter"))
    store.evaluations.add(later)
    assert store.evaluations.list() == [later, ONE] and store.evaluations.list(1) == [later]
    assert store.evaluations.find("second") == [later] and store.evaluations.find("e") == [later, ONE]
    assert store.evaluations.find("nothing") == store.evaluations.find("") == []
    assert store.evaluations.of_model("r1") == [ONE] and store.evaluations.of_model("base:starter") == [later, ONE]
    store.evaluations.end("e1", 30.0, "stopped")
    assert store.evaluations.get("e1") == replace(ONE, ended=30.0, reason="stopped")
    store.evaluations.end("e1", None)
    assert store.evaluations.get("e1") == ONE


def test_figures_replace_those_before(store: Store) -> None:
    store.evaluations.add(ONE)
    whole = Measured("e1", 1, "bleu", 20.0, 18.0, 22.0, 20, 5.0, 3.0, 7.0, 0.01)
    store.evaluations.set_figures("e1", [whole, Measured("e1", 0, "bleu", 15.0), Measured("e1", 0, "exact_match", 0.0)])
    assert [(one.model, one.metric) for one in store.evaluations.figures("e1")] == [
        (0, "bleu"),
        (0, "exact_match"),
        (1, "bleu"),
    ]
    assert store.evaluations.figures("e1")[2] == whole and store.evaluations.metrics() == ["bleu", "exact_match"]
    store.evaluations.set_figures("e1", [whole])
    assert store.evaluations.figures("e1") == [whole] and store.evaluations.figures("e2") == []
    store.evaluations.delete("e1")
    store.evaluations.add(ONE)
    assert store.evaluations.figures("e1") == []


def test_what_cannot_be(store: Store) -> None:
    store.evaluations.add(ONE)
    with pytest.raises(StoreError, match="already"):
        store.evaluations.add(ONE)
    with pytest.raises(StoreError, match="knows no evaluation e9"):
        store.evaluations.end("e9", 1.0)
    with pytest.raises(StoreError, match="knows no evaluation e9"):
        store.evaluations.set_figures("e9", [])


@pytest.fixture
def evaluated(store: Store) -> Store:
    """Three runs; `r1` evaluated twice, `r2` once, `r3` never."""
    for place, run in enumerate(("r1", "r2", "r3")):
        store.runs.add(new_run(run, created=1000.0 + place))
    store.evaluations.add(replace(ONE, models=("base:starter", "r1", "r2")))
    store.evaluations.add(replace(ONE, id="e2", created=20.0))
    old = [Measured("e1", 1, "bleu", 10.0), Measured("e1", 1, "rouge_l", 0.3), Measured("e1", 2, "bleu", 30.0)]
    store.evaluations.set_figures("e1", old)
    store.evaluations.set_figures("e2", [Measured("e2", 1, "bleu", 20.0), Measured("e2", 0, "bleu", 99.0)])
    return store


def test_runs_carry_the_figures_of_their_newest_evaluations(evaluated: Store) -> None:
    assert the(evaluated.runs.get("r1")).figures == {"bleu": 20.0, "rouge_l": 0.3}
    assert the(evaluated.runs.get("r2")).figures == {"bleu": 30.0} and the(evaluated.runs.get("r3")).figures == {}
    assert evaluated.evaluations.latest(["r1"])["r1"]["bleu"] == Measured("e2", 1, "bleu", 20.0)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("eval.bleu>20", ["r2"]),
        ("EVAL.BLEU>=20", ["r2", "r1"]),
        ("eval.bleu:15..25", ["r1"]),
        ("eval.bleu!=20", ["r3", "r2"]),
        ("-eval.rouge_l<0.4", ["r3", "r2"]),
        ("eval.bleu<", ["r3", "r2", "r1"]),
        ("has:figures", ["r2", "r1"]),
        ("has:eval.rouge_l", ["r1"]),
        ("eval.nothing>1", []),
    ],
)
def test_runs_are_found_by_what_was_measured(evaluated: Store, query: str, found: list[str]) -> None:
    assert evaluated.runs.order(query) == found


def test_runs_are_sorted_by_what_was_measured(evaluated: Store) -> None:
    assert evaluated.runs.order(sort="eval.bleu") == ["r2", "r1", "r3"]
    assert evaluated.runs.order(sort="eval.bleu", descending=False) == ["r1", "r2", "r3"]
    with pytest.raises(QueryError, match="number"):
        evaluated.runs.order("eval.bleu>much")
    with pytest.raises(QueryError, match=r"eval\.bleu"):
        evaluated.runs.order("bleu>20")
    with pytest.raises(QueryError, match=r"eval\.rouge_l"):
        evaluated.runs.order(sort="rouge_l")


def test_what_was_measured_is_offered_and_missed(evaluated: Store) -> None:
    assert [one.insert for one in evaluated.runs.complete("eval.b")] == ["eval.bleu"]
    assert "eval.bleu>" in [one.insert for one in evaluated.runs.complete("eval.bleu")]
    assert evaluated.runs.hint("eval.bleuu>3") == "No run has a figure bleuu. Did you mean bleu?"
    assert evaluated.runs.hint("eval.bleu>3000") == ""
