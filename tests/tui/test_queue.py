"""Queue: what is at work, what waits, and how it is stopped."""

from collections.abc import Iterator

import pytest

from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from store import Store
from store.records import Dataset, Status
from tests.engine.runs_at_work import put_away, reached, stand_in
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tests.tui.test_new_run import make_model


@pytest.fixture
def manager(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunManager]:
    """Launches runs that stay at step 1 until they are stopped."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    make_model(home.starter)
    store.datasets.add(Dataset("d0", "support", 1, "messages", 20, {"train": 20}, None, None, "here", 1.0, "nowhere"))
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
    from engine.runs.rundir import RunDir

    recipe = make_recipe({"dataset": "support"})
    first = manager.launch(recipe, name="first")
    reached(RunDir(home.runs / first.id), 1)
    second, third = (manager.launch(recipe, name=name) for name in ("second", "third"))
    manager.close()  # the app takes events in
    async with make_app() as driver:
        await driver.press("6")
        await driver.sees("1 at work, 2 waiting")
        await driver.wait(lambda: "waits for cpu" in driver.line("second") and "waits for cpu" in driver.line("third"))
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


async def test_fits_80_columns(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1", "a-name-that-is-rather-long-for-a-run", status="training", steps=5)
    async with make_app((80, 24), theme="finetui-light") as driver:
        await driver.press("6")
        await driver.sees("1 at work, none waiting", "training", "cpu", "since")
        assert "a-name-that" in driver.line("▸")
