"""Queue: what is at work, what waits, and how it is stopped."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.allot import Request
from engine.runs.leases import Ticket
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir, read_json, write_json
from store import Store
from store.records import Status
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import import_support, put_away, reached, stand_in, wait_for
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns


@pytest.fixture
def manager(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunManager]:
    """Launches runs that stay at step 1 until they are stopped."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    make_starter(home)
    import_support(home, store)
    with put_away(home.runs):
        made = RunManager(home, store, worker=stand_in("--hold-at", "1"))
        yield made
        made.close()


async def test_nothing_to_do(make_app: MakeApp, filled: SampleRuns) -> None:
    for run in filled.store.runs.live():
        filled.store.runs.finish(run.id, Status.STOPPED, "by the test", 2.0)
    async with make_app((80, 24)) as driver:
        await driver.press("6")
        await driver.sees("Nothing is running, and nothing waits.")
        await driver.press("s", "enter")
        await driver.sees("Nothing is running")


async def test_runs_wait_in_turn_and_are_stopped(
    make_app: MakeApp, home: Home, store: Store, manager: RunManager
) -> None:
    recipe = make_recipe({"dataset": "support"})
    first = manager.launch(recipe, name="first")
    reached(RunDir(home.runs / first.id), 1)
    second, third = (manager.launch(recipe, name=name) for name in ("second", "third"))
    manager.close()  # the app takes events in
    async with make_app() as driver:
        await driver.press("6")
        await driver.sees("1 at work, 2 waiting")
        await driver.wait(lambda: "held by first" in driver.line("second") and "after second" in driver.line("third"))
        lines = driver.text().splitlines()
        places = [next(row for row, line in enumerate(lines) if name in line) for name in ("first", "second", "third")]
        assert places == sorted(places)
        assert "training" in driver.line("first")
        assert [driver.line(name).split()[0] for name in ("first", "second", "third")] == ["▸", "1", "2"]
        await driver.press("j", "j", "s")
        await driver.sees("Cancel third?", "It has not started")
        await driver.press("y")
        await driver.sees("1 at work, 1 waiting")
        await driver.press("g", "s")
        await driver.sees("Stop first?", "saves a checkpoint")
        await driver.press("y")
        await driver.wait(lambda: "training" in driver.line("second"))
        assert "first" not in driver.line("▸")
        stopped = {run_id: store.runs.get(run_id) for run_id in (first.id, third.id)}
        assert {run.status for run in stopped.values() if run} == {Status.STOPPED}
        await driver.press("enter")
        await driver.sees("second", "Charts")
        manager.stop(second.id)
        await driver.wait(lambda: not store.runs.live())


def order(driver: Driver) -> str:
    """The first letters of the names, in the order of the lines."""
    lines = [line.split() for line in driver.text().splitlines() if "training" in line or "queued" in line]
    return "".join(words[1][0] for words in lines)


async def test_the_order_is_changed_by_keys(make_app: MakeApp, home: Home, store: Store, manager: RunManager) -> None:
    recipe = make_recipe({"dataset": "support"})
    ids = {}
    for name in ("first", "alpha", "beta", "gamma"):
        ids[name] = manager.launch(recipe, name=name).id
        if name == "first":
            reached(RunDir(home.runs / ids[name]), 1)
        else:
            wait_for(lambda: len(manager.queue.waiting()) == len(ids) - 1)
    manager.close()
    async with make_app() as driver:

        def line() -> list[str]:
            return [entry.run for entry in manager.queue.waiting()]

        await driver.press("6")
        await driver.sees("1 at work, 3 waiting")
        await driver.wait(lambda: order(driver) == "fabg")
        await driver.press("g", "J")
        assert order(driver) == "fabg", "what is at work has no place to move from"
        await driver.press("j", "j", "j", "K", "K")
        assert order(driver) == "fgab", "shown at once"
        await driver.sees("gamma: cpu held by first")
        await driver.wait(lambda: line() == [ids["gamma"], ids["alpha"], ids["beta"]])
        await driver.press("alt+down", "K", "J")
        assert order(driver) == "fagb"
        await driver.wait(lambda: line() == [ids["alpha"], ids["gamma"], ids["beta"]])
        await driver.press("plus", "plus", "plus", "minus")
        await driver.wait(lambda: order(driver) == "fgab")
        assert "+2" in driver.line("gamma")
        await driver.sees("gamma: cpu held by first")
        await driver.wait(lambda: manager.queue.waiting()[0].priority == 2)
        await driver.press("down", "r")
        await driver.sees("Start alpha now?", "whether it fits or not", "after gamma")
        await driver.press("y")
        await driver.wait(lambda: "training" in driver.line("alpha"))
        await driver.sees("2 at work, 2 waiting")
        for name in ("gamma", "beta"):
            manager.stop(ids[name])
        await driver.sees("2 at work, none waiting")


async def test_what_waits_says_how_long_and_how_much(
    make_app: MakeApp, home: Home, store: Store, manager: RunManager, runs: SampleRuns
) -> None:
    runs.add("r1", "at-work", status="training", steps=30, total_steps=600, age_s=50)
    told = {"needs_bytes": 3 * 2**30, "plan": {"time_s": 600}}
    lease = Ticket(home.root / "leases", Request("r1", ("cpu",))).try_take()
    assert lease is not None
    for number, run_id in enumerate(("r2", "r3")):
        run = runs.add(run_id, f"waits-{run_id}", status="queued")
        inputs = RunDir(Path(run.dir)).inputs
        write_json(inputs, (read_json(inputs) or {}) | told)
        Ticket(home.root / "leases", Request(run_id, ("cpu",), bytes=3 * 2**30, priority=-number))
    write_json(RunDir(home.runs / "r1").inputs, {"id": "r1", "needs_bytes": 5 * 2**30})
    async with make_app((120, 36)) as driver:
        await driver.press("6")
        await driver.sees("1 at work, 2 waiting")
        await driver.wait(lambda: "cpu" in driver.line("▸"))
        assert "5% 14m" in driver.line("▸") and "5.0 GB" in driver.line("▸")
        assert re.search(r"in 2[34]m +3\.0 GB", driver.line("waits-r3")), "14 minutes, and 10 of the other"
        assert "10 m" in driver.line("waits-r2") and "-1" in driver.line("waits-r3")
    async with make_app((80, 24), theme="finetui-light") as driver:
        await driver.press("6")
        await driver.sees("1 at work, 2 waiting", "waits-r2")
        await driver.press("down")
        await driver.sees("waits-r2: cpu held by at-work · 3.0 GB planned · takes about 10 m")
        await driver.wait(lambda: driver.line("waits-r2").rstrip().startswith("   1  waits-r2"))


async def test_fits_80_columns(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1", "a-name-that-is-rather-long-for-a-run", status="training", steps=5)
    async with make_app((80, 24), theme="finetui-light") as driver:
        await driver.press("6")
        await driver.sees("1 at work, none waiting", "training", "device", "when")
        await driver.wait(lambda: "a-name-that" in driver.line("▸"))
