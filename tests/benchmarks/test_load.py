"""The load benchmark's own checks: they find what was lost or changed, and who started out of turn."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from benchmarks.load_home import Line
from benchmarks.load_order import places_taken
from benchmarks.load_rows import lost_and_changed
from benchmarks.load_worker import WRITTEN, LoadedRun
from engine.home import Home
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json
from store import open_store
from store.records import NewRun

STEPS = 300
CLEAN = {"dropped_events": 0, "workers_untold": 0, "series_not_equal": 0, "events_not_equal": 0, "problems_of_runs": 0}


def taken_in(home: Home) -> Home:
    """A home with one run of `STEPS` steps, as its worker leaves it, in the store."""
    home.ensure()
    rundir = RunDir(home.runs / "r1")
    rundir.path.mkdir()
    run = LoadedRun(rundir, 1)
    run.begin()
    for _ in range(STEPS):
        run.step()
    run.end("succeeded")
    write_json(rundir.path / WRITTEN, {"kinds": run.tally.kinds, "points": run.tally.points(), "dropped": run.dropped})
    store = open_store(home.db)
    store.runs.add(NewRun("r1", "one", "starter", "qlora", "support", "d1", 0.0, {}, str(rundir.path)))
    ingest_run(store, "r1", rundir)
    store.close()
    return home


def faults(home: Home) -> dict[str, int]:
    found = lost_and_changed(home, ["r1"])
    return {name: found[name] for name in CLEAN}


def test_all_that_was_written_is_found(home: Home) -> None:
    found = lost_and_changed(taken_in(home), ["r1"])
    assert {name: found[name] for name in CLEAN} == CLEAN
    assert (found["events"], found["points"]) == (STEPS + 14, 7 * STEPS + 21)


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        ("DELETE FROM points WHERE step = 200 AND metric = 1", "series_not_equal"),
        ("UPDATE points SET value = value * 1.0000000000000004 WHERE step = 7 AND metric = 3", "series_not_equal"),
        ("INSERT INTO points SELECT run, metric, attempt, 9999, value, t FROM points LIMIT 1", "series_not_equal"),
        ("DELETE FROM events WHERE kind = 'evaluation'", "events_not_equal"),
        ("UPDATE runs SET damaged = 1", "problems_of_runs"),
        ("UPDATE runs SET offset = offset - 1", "problems_of_runs"),
        ("UPDATE runs SET status = 'lost'", "problems_of_runs"),
    ],
)
def test_what_is_lost_or_changed_is_found(home: Home, harm: str, name: str) -> None:
    with sqlite3.connect(taken_in(home).db) as connection:
        assert connection.execute(harm).rowcount
    connection.close()
    assert faults(home) == CLEAN | {name: 1}


def test_a_worker_that_could_not_say_what_it_wrote_is_found(home: Home) -> None:
    (taken_in(home).runs / "r1" / WRITTEN).unlink()
    assert faults(home)["workers_untold"] == 1


def test_who_starts_out_of_turn_is_found(tmp_path: Path) -> None:
    def in_order(*runs: tuple[float, float]) -> int:
        line = Line(Home(tmp_path / "-".join(str(begun) for begun, _ in runs)), 1.0)
        for number, (begun, ended) in enumerate(runs):
            name = f"r{number}"
            line.queued.append(name)
            line.dir(name).path.mkdir(parents=True)
            writer = EventWriter(line.dir(name).events, 1, clock=partial(float, begun))
            writer.write("state", status="starting")
            writer.close()
            write_json(line.dir(name).exit, {"ended": ended})
        return int(places_taken(line, 2)["out_of_turn"])

    assert in_order((1, 5), (2, 9), (5.5, 7), (7.5, 8)) == 0
    assert in_order((1, 5), (2, 9), (7.5, 8), (5.5, 7)) == 1, "one place was free, and it was the third one's"
    assert in_order((1, 5), (2, 5), (6.1, 8), (6.0, 8)) == 0, "both places were free"
