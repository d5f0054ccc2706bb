"""A run that failed or fell silent: what the screens say of it, and the one key that goes on."""

import os
import time
from typing import Any

import pytest

from engine.errors import BadInput
from engine.runs.manager import RunManager
from store import Store
from tests.tui.conftest import Driver, MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.screens.new_run import NewRunScreen
from tui.screens.run import RunScreen

Done = list[Any]
OOM = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, store: Store) -> Done:
    """What was launched and resumed, instead of doing it. A launch hands out the run `other`."""
    calls: Done = []

    def launch(self: RunManager, recipe: Any, *, name: str, tags: Any) -> Any:
        calls.append(recipe)
        time.sleep(0.2)  # as planning takes
        return store.runs.get("r9other0000")

    monkeypatch.setattr(RunManager, "launch", launch)
    monkeypatch.setattr(RunManager, "resume", lambda self, run_id: calls.append(run_id))
    return calls


def failed(runs: SampleRuns, code: str, **fields: Any) -> None:
    """Two runs: one that failed, and one that a launch is made to hand out."""
    runs.add("r9other0000", "other", steps=3, age_s=5)
    runs.add("r1failed000", "broken", status="failed", steps=12, failure=code, **fields)


def last_line(driver: Driver) -> str:
    return driver.text().splitlines()[-1]


async def test_one_key_launches_what_fits_and_opens_it(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    failed(runs, "cuda_out_of_memory", reason="OutOfMemoryError: Tried to allocate", **OOM)
    async with make_app(open_run="r1failed000", size=(80, 24)) as driver:
        await driver.sees("✗ oom", "✗ CUDA out of memory at step 12 · a launch with batch 2 × 8 · w why")
        assert "a fix" in last_line(driver)
        await driver.press("a", "a")
        await driver.sees("other")
        await driver.wait(lambda: getattr(driver.app.screen, "run_id", "") == "r9other0000")
        [recipe] = done
        assert (recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps) == (2, 8)


async def test_the_list_offers_the_same(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    failed(runs, "loss_not_finite", learning_rate=2e-4)
    async with make_app(size=(120, 36)) as driver:
        await driver.sees("broken")
        await driver.press("end")
        await driver.sees("✗ nan", "a launch with learning_rate 5e-05")
        await driver.press("a")
        await driver.wait(lambda: isinstance(driver.app.screen, RunScreen))
        assert done[0].learning_rate == 5e-5


async def test_why_shows_the_evidence_and_offers_the_fix(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    failed(runs, "loss_not_finite", learning_rate=2e-4, reason="The loss is [red]nan[/]")
    async with make_app(open_run="r1failed000", size=(80, 24)) as driver:
        await driver.sees("a launch with learning_rate")
        await driver.press("w")
        await driver.sees("(loss_not_finite)", "The loss is [red]nan[/]", "train/loss was", "0.0002 → 5e-05")
        await driver.press("escape")
        await driver.sees_no("(loss_not_finite)")
        assert not done
        await driver.press("w")
        await driver.sees("(loss_not_finite)")
        await driver.press("a")
        await driver.wait(lambda: getattr(driver.app.screen, "run_id", "") == "r9other0000")
        assert done[0].learning_rate == 5e-5


async def test_a_killed_run_is_resumed(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    failed(runs, "killed", reason="killed by signal 9 (SIGKILL)")
    async with make_app(open_run="r1failed000") as driver:
        await driver.sees("✗ killed", "Killed from outside at step 12 · a resume · w why")
        await driver.press("a")
        await driver.wait(lambda: done == ["r1failed000"])
        assert getattr(driver.app.screen, "run_id", "") == "r1failed000"


async def test_what_only_the_user_can_change_opens_the_form(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    failed(runs, "no_rows")
    async with make_app(open_run="r1failed000") as driver:
        await driver.sees("The dataset has no training rows · a change the recipe")
        await driver.press("a")
        await driver.wait(lambda: isinstance(driver.app.screen, NewRunScreen))
        assert not done


async def test_code_from_elsewhere_is_asked_about(make_app: MakeApp, runs: SampleRuns, done: Done) -> None:
    failed(runs, "needs_remote_code", model="some/model")
    async with make_app(open_run="r1failed000") as driver:
        await driver.sees("The model brings code of its own")
        await driver.press("a")
        await driver.sees("some/model brings Python code")
        await driver.press("n")
        await driver.sees_no("some/model brings Python code")
        assert not done
        await driver.press("a")
        await driver.sees("some/model brings Python code")
        await driver.press("y")
        await driver.wait(lambda: done)
        assert done[0].trust_remote_code is True


async def test_a_refused_launch_says_why_and_can_be_tried_again(
    make_app: MakeApp, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(runs, "inputs")
    tries: Done = []

    def refuse(self: RunManager, recipe: Any, **_: Any) -> Any:
        tries.append(recipe)
        raise BadInput("It cannot be launched.", why="The dataset is gone.")

    monkeypatch.setattr(RunManager, "launch", refuse)
    async with make_app(open_run="r1failed000") as driver:
        await driver.sees("a launch anew")
        for _ in range(2):
            await driver.press("a")
            await driver.sees("The dataset is gone.")
            await driver.press("escape")
            await driver.sees_no("The dataset is gone.")
        assert len(tries) == 2


async def test_the_keys_are_for_runs_that_ended_other_than_well(make_app: MakeApp, filled: SampleRuns) -> None:
    async with make_app(open_run="r1done00000") as driver:
        await driver.sees("✓ done")
        assert "a fix" not in last_line(driver)
        await driver.press("w", "a")
        assert not driver.app.screen.is_modal


async def test_a_silent_run_is_stalled_until_it_is_heard_of(make_app: MakeApp, runs: SampleRuns) -> None:
    live = "r4live00000"
    runs.add(live, "quiet", status="training", steps=42, age_s=900)
    long_ago = time.time() - 800
    os.utime(runs.home.runs / live / "events.jsonl", (long_ago, long_ago))
    for size in ((80, 24), (120, 36)):
        async with make_app(open_run=live, size=size) as driver:
            await driver.sees("step 42/60", "⚠ stalled", "silent since", "Stalled since", "K kills it")
            assert all(len(line) <= size[0] for line in driver.text().splitlines())
    async with make_app() as driver:
        await driver.sees("⚠ stalled", "70% since")
        runs.train(live, 43, 44, total_steps=60)
        await driver.sees_no("stalled")
        await driver.sees("● training")


async def test_the_price_is_shown_beside_the_other_figures(make_app: MakeApp, runs: SampleRuns) -> None:
    runs.add("r1done00000", "dear", cost_per_hour=3600.0, steps=10)
    async with make_app(open_run="r1done00000") as driver:
        await driver.sees("cost 1")
    async with make_app() as driver:
        await driver.sees("· cost 1")
