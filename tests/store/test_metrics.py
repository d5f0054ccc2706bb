"""Series, thinning, roll-ups, superseded attempts, and what the hot queries read."""

import random
from math import inf, isnan, nan

import pytest

from store import Store
from store.records import Latest, Series
from store.rollups import LEVELS, cover, level_for, roll_up
from tests.store.builders import add_points, line, new_run, the

LOSS = "train/loss"


@pytest.fixture(autouse=True)
def run(store: Store) -> None:
    store.runs.add(new_run("r1"))


def series(store: Store, name: str = LOSS, **limits: int) -> Series:
    found = store.metrics.series("r1", name, **limits)
    assert found is not None
    return found


def test_points_come_back_as_they_were(store: Store) -> None:
    points = line(50, every=10)
    add_points(store, "r1", {LOSS: points[:20]})
    add_points(store, "r1", {LOSS: points[20:]})
    got = series(store)
    assert list(zip(got.steps, got.values, got.times, strict=True)) == points
    assert got.low == got.values == got.high


def test_a_metric_or_a_run_that_is_not_there(store: Store) -> None:
    assert store.metrics.series("r1", LOSS) is None
    assert store.metrics.series("nobody", LOSS) is None
    assert store.metrics.names("nobody") == []
    assert store.metrics.latest("nobody") == {}


def test_latest(store: Store) -> None:
    add_points(store, "r1", {LOSS: [(1, 3.0, 1.0), (2, 1.0, 2.0), (3, 2.0, 3.0)], "eval/loss": [(3, 5.0, 3.0)]})
    add_points(store, "r1", {LOSS: [(4, 1.0, 4.0)]})
    assert store.metrics.names("r1") == ["eval/loss", LOSS]
    assert store.metrics.latest("r1") == {
        LOSS: Latest(last=1.0, min=1.0, max=3.0, step=4, min_step=2),
        "eval/loss": Latest(last=5.0, min=5.0, max=5.0, step=3, min_step=3),
    }
    assert the(store.runs.get("r1")).metrics == store.metrics.latest("r1")


def test_nan_and_infinity_keep_their_place_and_spoil_no_extreme(store: Store) -> None:
    add_points(store, "r1", {LOSS: [(1, nan, 1.0)]})
    only = store.metrics.latest("r1")[LOSS]
    assert isnan(only.last)
    assert (only.min, only.max, only.min_step) == (None, None, None)
    add_points(store, "r1", {LOSS: [(2, inf, 2.0), (3, 2.0, 3.0), (4, -inf, 4.0)]})
    got = series(store)
    assert got.steps == [1, 2, 3, 4]
    assert isnan(got.values[0])
    assert got.values[1:] == [inf, 2.0, -inf]
    assert store.metrics.latest("r1")[LOSS] == Latest(last=-inf, min=2.0, max=2.0, step=4, min_step=3)
    thinned = series(store, max_points=1)
    assert (thinned.steps, thinned.values, thinned.low, thinned.high) == ([4], [-inf], [2.0], [2.0])


def test_a_thinned_series_of_nothing_but_nan_has_nan(store: Store) -> None:
    add_points(store, "r1", {LOSS: [(step, nan, 1.0) for step in range(5000)]})
    thinned = series(store, max_points=50)
    assert thinned.steps[-1] == 4999
    assert all(isnan(value) for value in (*thinned.values, *thinned.low, *thinned.high))


def test_a_repeated_step_keeps_the_newer_value_and_both_extremes(store: Store) -> None:
    add_points(store, "r1", {LOSS: [(1, 5.0, 1.0), (1, 2.0, 2.0)]})
    add_points(store, "r1", {LOSS: [(1, 3.0, 3.0)]})
    got = series(store)
    assert (got.steps, got.values, got.times) == ([1], [3.0], [3.0])
    assert store.metrics.latest("r1")[LOSS] == Latest(last=3.0, min=2.0, max=5.0, step=1, min_step=1)


@pytest.mark.parametrize("every", [1, 7, 100])
@pytest.mark.parametrize("max_points", [1, 10, 240, 100_000])
def test_thinning_keeps_extremes_and_the_end(store: Store, every: int, max_points: int) -> None:
    random.seed(every)
    points = [(step, random.gauss(0, 1), step / 2) for step in range(0, 20_000 * every, every)]
    for start in range(0, len(points), 3000):
        add_points(store, "r1", {LOSS: points[start : start + 3000]})
    got = series(store, max_points=max_points)
    assert min(max_points, len(points)) / 4 <= len(got.steps) <= max_points
    assert (got.steps[-1], got.values[-1], got.times[-1]) == points[-1]
    assert got.steps == sorted(set(got.steps))
    by_step = {step: (value, t) for step, value, t in points}
    assert [by_step[step] for step in got.steps] == list(zip(got.values, got.times, strict=True))
    # Each point's band is exactly the extremes of the steps since the one before it.
    values = {step: value for step, value, _ in points}
    before = -1
    for step, low, high in zip(got.steps, got.low, got.high, strict=True):
        covered = [values[at] for at in range(before + 1, step + 1) if at in values]
        assert (low, high) == (min(covered), max(covered))
        before = step


def test_a_series_with_no_more_points_than_asked_for_is_exact(store: Store) -> None:
    points = line(300, every=1000)
    add_points(store, "r1", {LOSS: points})
    got = series(store, max_points=300)
    assert list(zip(got.steps, got.values, got.times, strict=True)) == points
    assert got.low == got.high == got.values


@pytest.mark.parametrize(("first", "last"), [(0, 99), (4096, 8191), (4097, 8190), (19_000, 10**9), (5, 5), (9, 8)])
def test_a_range_has_its_steps_and_no_others(store: Store, first: int, last: int) -> None:
    points = [(step, float(step), float(step)) for step in range(20_000)]
    add_points(store, "r1", {LOSS: points})
    exact = series(store, first_step=first, last_step=last)
    assert exact.steps == [step for step, _, _ in points if first <= step <= last]
    thinned = series(store, first_step=first, last_step=last, max_points=100)
    assert len(thinned.steps) <= 100
    if exact.steps:
        assert (min(thinned.low), max(thinned.high)) == (exact.steps[0], exact.steps[-1])
        assert thinned.steps[-1] == exact.steps[-1]
    else:
        assert thinned.steps == []


def test_a_resume_hides_what_it_supersedes(store: Store) -> None:
    add_points(
        store, "r1", {LOSS: line(1000), "eval/loss": [(500, 2.0, 5.0), (900, 0.5, 9.0)], "late": [(950, 1.0, 9.5)]}
    )
    add_points(
        store, "r1", {LOSS: [(step, 100.0 + step, 2000.0 + step) for step in range(701, 901)]}, attempt=2, from_step=700
    )
    got = series(store)
    assert got.steps == list(range(1, 901))
    assert got.values[699] == 10.0 / 700
    assert got.values[700] == 801.0
    assert store.metrics.latest("r1") == {
        LOSS: Latest(last=1000.0, min=10.0 / 700, max=1000.0, step=900, min_step=700),
        "eval/loss": Latest(last=2.0, min=2.0, max=2.0, step=500, min_step=500),
    }
    assert series(store, "eval/loss").steps == [500]
    assert store.metrics.series("r1", "late") is None
    assert store.metrics.names("r1") == ["eval/loss", LOSS]
    for max_points in (7, 50, 333):
        thinned = series(store, max_points=max_points)
        assert len(thinned.steps) <= max_points
        assert thinned.steps[-1] == 900
        assert max(high for step, high in zip(thinned.steps, thinned.high, strict=True) if step <= 700) <= 10.0
        assert min(low for step, low in zip(thinned.steps, thinned.low, strict=True) if step > 800) > 100.0
    with store.transaction() as connection:
        kept = connection.execute("SELECT count(*) FROM points WHERE attempt = 1").fetchone()
    assert kept == (1003,)


def test_a_metric_comes_back_after_a_resume_from_nothing(store: Store) -> None:
    add_points(store, "r1", {LOSS: line(10)})
    add_points(store, "r1", {}, attempt=2, from_step=0)
    assert store.metrics.latest("r1") == {}
    assert the(store.runs.get("r1")).metrics == {}
    add_points(store, "r1", {LOSS: [(1, 7.0, 1.0)]}, attempt=2)
    assert store.metrics.latest("r1") == {LOSS: Latest(7.0, 7.0, 7.0, 1, 1)}
    assert series(store).values == [7.0]


def test_an_attempt_whose_beginning_is_unknown_hides_nothing(store: Store) -> None:
    add_points(store, "r1", {LOSS: line(10)})
    add_points(store, "r1", {LOSS: [(8, 88.0, 1.0)]}, attempt=2)
    got = series(store)
    assert got.steps == list(range(1, 11))
    assert got.values[7] == 88.0


def test_cover_is_exact_and_short() -> None:
    random.seed(1)
    for _ in range(300):
        first = random.randrange(3000)
        last = first + random.randrange(3000)
        level = random.randrange(LEVELS + 1)
        steps: list[int] = []
        parts = list(cover(level, first, last))
        for part, low, high in parts:
            steps += range(low << 2 * part, (high + 1) << 2 * part)
        assert steps == list(range(first, last + 1))
        small = sum(high - low + 1 for part, low, high in parts if part < level)
        assert small <= 6 * level or level == LEVELS
    assert list(cover(3, 5, 4)) == []


def test_rollups_are_the_same_however_they_are_cut(store: Store) -> None:
    random.seed(2)
    store.runs.add(new_run("r2"))
    points = [(step, random.choice([nan, inf, -inf, random.random()]), float(step)) for step in range(3000)]
    add_points(store, "r1", {LOSS: points})
    at = 0
    while at < len(points):
        size = random.randrange(1, 400)
        add_points(store, "r2", {LOSS: points[at : at + size]})
        at += size
    with store.transaction() as connection:
        one, many = (
            connection.execute(
                "SELECT level, attempt, bucket, step, value, t, low, high, low_step FROM rollups "
                "WHERE run = (SELECT key FROM runs WHERE id = ?)",
                (run_id,),
            ).fetchall()
            for run_id in ("r1", "r2")
        )
    assert len(one) > 3000 / 4
    assert one == many
    assert store.metrics.latest("r1").keys() == store.metrics.latest("r2").keys()
    assert repr(store.metrics.latest("r1")) == repr(store.metrics.latest("r2"))


def test_levels() -> None:
    assert level_for(800, 100, 10**9) == 0
    assert level_for(800, 10**6, 300) == 0
    assert level_for(800, 100_000, 100_000) == 4
    assert level_for(2, 10**12, 10**12) == LEVELS
    assert [len(level) for level in roll_up(line(64))] == [17, 5, 2, 1, 1, 1, 1, 1]


def test_a_chart_reads_few_rows(store: Store) -> None:
    points = [(step, float(step), float(step)) for step in range(60_000)]
    add_points(store, "r1", {LOSS: points})
    for max_points in (40, 400, 1000):
        connection = store._database.connection()
        rows: list[int] = []
        connection.set_trace_callback(None)
        sql: list[str] = []
        connection.set_trace_callback(sql.append)
        series(store, max_points=max_points)
        connection.set_trace_callback(None)
        rows = [len(connection.execute(statement).fetchall()) for statement in sql if "BETWEEN" in statement]
        assert 0 < sum(rows) <= 2 * max_points + 1


def test_what_was_thinned_stays_as_a_run_grows(store: Store) -> None:
    """Each further point changes the last group alone, but for the moments when the groups double."""
    changed = []
    before: list[tuple[int, float, float, float]] = []
    for step in range(1, 400):
        add_points(store, "r1", {"train/loss": [(step, 1 / step, float(step))]})
        got = series(store, max_points=40)
        now = list(zip(got.steps, got.values, got.low, got.high, strict=True))
        changed.append(sum(one not in now for one in before))
        before = now
    assert sum(count > 1 for count in changed) <= 5
