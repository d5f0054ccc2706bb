"""Suite runs and their answers."""

from dataclasses import replace

import pytest

from store import Store
from store.errors import StoreError
from store.suites import SuiteCount
from store.talk_records import SuiteAnswer, SuiteRun

RUN = SuiteRun("t1", "d1", "first", 10.0, ("base:starter", "r1"), {"temperature": 0.0}, 2)


def test_what_was_put_in_comes_out(store: Store) -> None:
    store.suites.add(RUN)
    assert store.suites.get("t1") == RUN and store.suites.get("t2") is None
    later = replace(RUN, id="t2", name="second", created=20.0, suite="d2")
    store.suites.add(later)
    assert store.suites.list() == [later, RUN] and store.suites.list(1) == [later]
    assert store.suites.of_suite("d1") == [RUN]
    assert store.suites.find("second") == [later] and store.suites.find("t") == [later, RUN]
    assert store.suites.find("nothing") == store.suites.find("") == []
    store.suites.set_ended("t1", 30.0)
    assert store.suites.get("t1") == replace(RUN, ended=30.0)


def test_answers_come_in_order_and_replace_what_was_there(store: Store) -> None:
    store.suites.add(RUN)
    answers = [
        SuiteAnswer("t1", 0, 0, 0, "a", 3, 0.1, 20.0),
        SuiteAnswer("t1", 1, 0, 0, "", error="out of memory"),
        SuiteAnswer("t1", 0, 0, 1, "then"),
        SuiteAnswer("t1", 0, 1, 0, "b"),
    ]
    store.suites.append(reversed(answers))
    assert store.suites.answers("t1") == answers
    assert store.suites.answers("t1", 0) == answers[:3]
    assert store.suites.counts(["t1", "t2"]) == {"t1": SuiteCount(4, 1), "t2": SuiteCount(0, 0)}
    store.suites.append([replace(answers[1], text="at last", error="")])
    assert store.suites.counts(["t1"]) == {"t1": SuiteCount(4, 0)}


def test_answers_are_kept_together_or_not_at_all(store: Store) -> None:
    store.suites.add(RUN)
    with pytest.raises(StoreError, match="cannot be kept"):
        store.suites.append([SuiteAnswer("t1", 0, 0, 0, "a"), SuiteAnswer("gone", 0, 0, 0, "b")])
    assert store.suites.answers("t1") == []


def test_deleting_takes_the_answers_along(store: Store) -> None:
    store.suites.add(RUN)
    store.suites.append([SuiteAnswer("t1", 0, 0, 0, "a")])
    store.suites.delete("t1")
    store.suites.add(RUN)
    assert store.suites.answers("t1") == []


def test_what_cannot_be(store: Store) -> None:
    store.suites.add(RUN)
    with pytest.raises(StoreError, match="already"):
        store.suites.add(RUN)
    with pytest.raises(StoreError, match="knows no suite run"):
        store.suites.set_ended("gone", 1.0)
