"""Votes: kept, counted, taken back."""

import sqlite3
from typing import Any

import pytest

from store import Store, StoreError
from store.talk_records import Vote, Winner
from store.votes import PEOPLE, PairCount, WinRate, counts_of
from tests.store.builders import new_run


def vote(number: int = 1, left: str = "a", right: str = "b", winner: Winner = Winner.LEFT, **fields: Any) -> Vote:
    known: dict[str, Any] = {
        "id": f"v{number}",
        "t": float(number),
        "voter": "ann",
        "criterion": "overall",
        "conversation": ({"role": "user", "content": "Wo ist\nes? 🙂"},),
        "left_text": "here",
        "right_text": "there",
    }
    return Vote(left=left, right=right, winner=winner, **(known | fields))


def fill(store: Store) -> list[Vote]:
    votes = [
        vote(1, "a", "b", Winner.LEFT),
        vote(2, "b", "a", Winner.LEFT, voter="ben"),
        vote(3, "b", "a", Winner.RIGHT),
        vote(4, "a", "b", Winner.TIE, note="both fine", suite="d1", position=7),
        vote(5, "b", "a", Winner.BOTH_BAD),
        vote(6, "c", "a", Winner.LEFT, voter="judge:starter"),
        vote(7, "a", "b", Winner.RIGHT, criterion="warm"),
    ]
    for one in reversed(votes):
        store.votes.add(one)
    return votes


def test_votes_come_back_as_they_were(store: Store) -> None:
    votes = fill(store)
    assert store.votes.list() == votes
    assert store.votes.list("overall") == votes[:6]
    assert store.votes.list(models=["a", "c"]) == [votes[5]]
    assert store.votes.list(voter="ben") == [votes[1]]
    assert store.votes.list(voter=PEOPLE) == [*votes[:5], votes[6]]
    assert store.votes.voters() == ["ann", "ben", "judge:starter"]
    assert store.votes.criteria() == ["overall", "warm"]
    assert (store.votes.count(), store.votes.count("warm"), store.votes.count("overall", "ann")) == (7, 1, 4)


def test_counts_do_not_ask_who_stood_where(store: Store) -> None:
    votes = fill(store)
    expected = [PairCount("a", "b", first_wins=2, second_wins=1, ties=1, both_bad=1), PairCount("a", "c", 0, 1)]
    assert store.votes.pairs() == expected == counts_of(votes)
    assert expected[0].preferences == 4
    assert store.votes.pairs("warm") == [PairCount("a", "b", 0, 1)]
    assert store.votes.pairs(voter="ben") == [PairCount("a", "b", 0, 1)]
    assert store.votes.pairs(None, models=["a", "b"]) == [PairCount("a", "b", 2, 2, 1, 1)]
    assert store.votes.judged("d1", "overall", "ann") == {(7, "a", "b")}
    assert store.votes.judged("d1", "warm", "ann") == set()


def test_win_rates_leave_out_both_bad(store: Store) -> None:
    fill(store)
    assert store.votes.win_rates(["a", "b", "c", "d"]) == {
        "a": WinRate(2.5 / 5, 5),
        "b": WinRate(1.5 / 4, 4),
        "c": WinRate(1.0, 1),
    }
    assert store.votes.win_rates(["a"], "warm") == {"a": WinRate(0.0, 1)}


def test_a_vote_can_be_taken_back(store: Store) -> None:
    fill(store)
    store.votes.delete("v2")
    assert [one.id for one in store.votes.list()] == ["v1", "v3", "v4", "v5", "v6", "v7"]
    with pytest.raises(StoreError, match="no vote v2"):
        store.votes.delete("v2")


def test_what_cannot_be_added(store: Store) -> None:
    store.votes.add(vote())
    with pytest.raises(StoreError, match="v1 already"):
        store.votes.add(vote())
    with pytest.raises(StoreError, match="between two models"):
        store.votes.add(vote(2, "a", "a"))
    assert store.votes.count() == 1


def test_a_vote_is_on_the_disk_when_add_returns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process reads it, and the commit waited for the disk; other writers go on as before."""
    asked: list[str] = []
    connection = store._database.connection()
    connection.set_trace_callback(asked.append)
    store.votes.add(vote())
    connection.set_trace_callback(None)
    places = [asked.index(one) for one in ("PRAGMA synchronous = FULL", "COMMIT", "PRAGMA synchronous = NORMAL")]
    assert places == sorted(places)
    assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    with sqlite3.connect(store.path) as other:
        assert other.execute("SELECT id FROM votes").fetchall() == [("v1",)]


def test_win_rates_of_a_page_use_the_indexes(store: Store) -> None:
    fill(store)
    asked: list[str] = []
    connection = store._database.connection()
    connection.set_trace_callback(asked.append)
    store.votes.win_rates(["a"])
    connection.set_trace_callback(None)
    for query, index in zip(asked[1:], ("votes_by_left", "votes_by_right"), strict=True):
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert f"SEARCH votes USING COVERING INDEX {index}" in plan


def test_runs_know_how_often_they_won(store: Store) -> None:
    for run_id in ("a", "b", "c", "d"):
        store.runs.add(new_run(run_id))
    fill(store)
    found = {run.id: (run.win_rate, run.win_votes) for run in store.runs.list()}
    assert found == {"a": (0.5, 5), "b": (0.375, 4), "c": (1.0, 1), "d": (None, 0)}
    assert store.runs.order(sort="win_rate") == ["c", "a", "b", "d"]
    assert store.runs.order(sort="win", descending=False) == ["b", "a", "c", "d"]
    assert store.runs.order("win>=50%", sort="name", descending=False) == ["a", "c"]
    assert store.runs.order("win_rate<0.4") == ["b"]
    assert store.runs.order("-has:votes") == ["d"]


def test_ordering_by_the_win_rate_looks_votes_up_by_run(store: Store) -> None:
    asked: list[str] = []
    connection = store._database.connection()
    connection.set_trace_callback(asked.append)
    store.runs.order(sort="win_rate")
    connection.set_trace_callback(None)
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}"))
    assert "SEARCH votes USING COVERING INDEX votes_by_left" in plan
    assert "SEARCH votes USING COVERING INDEX votes_by_right" in plan and "SCAN votes" not in plan
