"""Sweeps: the list, one sweep, and how one is started from the form for a new run."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine.home import Home
from engine.runs.identity import boot_id, identity_of
from engine.runs.rundir import write_json
from engine.sweeps.folder import SweepDir, Trial, TrialState
from engine.sweeps.manager import SweepManager
from engine.sweeps.spec import make_spec
from store import Store
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import import_support, put_away
from tests.engine.test_sweeps import WORKER
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns

RATES = [1e-3, 1e-4]
RANKS = [8, 16, 32]


@pytest.fixture
def sweep(home: Home, store: Store, runs: SampleRuns) -> Iterator[SweepDir]:
    """A live sweep of eight: four complete, one pruned, one failed, one that trains, one to come."""
    folder = SweepDir(home.sweeps / "s0aaa")
    folder.path.mkdir(parents=True)
    search = {"learning_rate": RATES, "lora_r": [4, *RANKS]}
    spec = make_spec({"name": "rates", "method": "grid", "search": search, "recipe": {"dataset": "support"}})
    folder.spec.write_text(spec.to_toml())
    write_json(folder.about, {"id": "s0aaa", "name": "rates", "created": time.time() - 60})
    trials = []
    for number in range(7):
        params: dict[str, Any] = {"learning_rate": RATES[number // 4], "lora_r": [4, *RANKS][number % 4]}
        status, state, reason = "succeeded", TrialState.COMPLETE, ""
        if number == 4:
            status, state, reason = "stopped", TrialState.PRUNED, "pruned at step 20: worse than the median"
        elif number == 5:
            status, state, reason = "failed", TrialState.FAILED, "failed: out of memory"
        elif number == 6:
            status, state = "training", TrialState.RUNNING
        run = runs.add(f"r{number}", f"rates-0{number + 1}", status=status, steps=30, **params)
        value = None if number == 5 else 1.5 - 0.1 * number + (1 if number > 3 else 0)
        trials.append(Trial(number, params, state, value, 30, run.id, reason))
    folder.write_trials(trials)
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    identity = identity_of(process.pid)
    assert identity is not None
    record = {"host": socket.gethostname(), "boot_id": boot_id(), "attempt": 1, "worker": None}
    folder.process.write_text(json.dumps(record | {"supervisor": identity.to_json()}))
    assert SweepManager(home, store).rebuild() == 1
    yield folder
    process.kill()
    process.wait()


async def test_nothing_yet(make_app: MakeApp) -> None:
    async with make_app((80, 24)) as driver:
        await driver.press("6", "w")
        await driver.sees("No sweeps yet.", "press w to vary its fields")
        await driver.press("s", "x", "R", "enter")
        await driver.press("n")
        await driver.sees("before you launch")
        assert [notice.message for notice in driver.app._notifications] == [
            "Fill the form, then press w to vary its fields."
        ]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_what_a_sweep_came_to(make_app: MakeApp, sweep: SweepDir, size: tuple[int, int]) -> None:
    async with make_app(size) as driver:
        await driver.press("6", "w")
        await driver.sees("rates", "● running", "6/8", "★ 1.200")
        await driver.press("enter")
        await driver.sees("★ 1.200 eval/loss  rates-04", "6/8", "what mattered", "best so far, by trial")
        await driver.sees("learning_rate", "lora_r", "by ranks of 5 trials")
        lines = driver.text().splitlines()
        top = next(row for row, line in enumerate(lines) if "eval loss" in line)
        rows = [line.split() for line in lines[top + 1 : top + 8]]
        assert rows[0][:5] == ["★", "4", "0.001", "32", "1.200"], rows
        places = [row[0] if row[0].isdecimal() else row[1] for row in rows]
        assert places == ["4", "3", "2", "1", "7", "5", "6"], "by their figures, those without one last"
        assert "50%" in lines[top + 5] and "✂ pruned" in lines[top + 6] and "✗ failed" in lines[top + 7]
        assert "rates-04 · eval/loss 1.200" in driver.text()
        await driver.press("G")
        await driver.sees("out of memory")


async def test_from_a_sweep_to_its_runs(make_app: MakeApp, sweep: SweepDir) -> None:
    async with make_app() as driver:
        await driver.press("ctrl+p")
        await driver.type("sweeps")
        await driver.sees("Go to Sweeps")
        await driver.press("enter")
        await driver.sees("● running", "varies", "learning_rate, lora_r")
        await driver.press("enter")
        await driver.sees("rates-04 · eval/loss 1.200")
        await driver.press("space", "space")
        await driver.wait(lambda: driver.text().count("✱") == 2)
        await driver.press("c")
        await driver.sees("lora_r 32 → 16", "A ━ rates-04", "B ━ rates-03")


async def test_launching_the_best(make_app: MakeApp, sweep: SweepDir) -> None:
    async with make_app() as driver:
        await driver.press("6", "w")
        await driver.sees("★ 1.200")
        await driver.press("enter")
        await driver.sees("rates-04 · eval/loss")
        await driver.press("j", "enter")
        await driver.sees("rates-03", "Charts")
        await driver.press("6")
        await driver.sees("best so far, by trial")
        await driver.press("l")
        await driver.sees("New run", "run rates-04")


async def test_stopping_and_removing(make_app: MakeApp, sweep: SweepDir, store: Store) -> None:
    async with make_app((80, 24)) as driver:
        await driver.press("6", "w")
        await driver.sees("● running")
        await driver.press("enter")
        await driver.sees("rates-04 · eval/loss")
        await driver.press("x")
        await driver.press("s")
        await driver.sees("Stop rates?", "save a checkpoint")
        await driver.press("y")
        await driver.sees("◑ stopping")
        assert sweep.stop.exists()
        write_json(sweep.exit, {"status": "stopped", "reason": "7 of 8 trials begun", "ended": time.time()})
        await driver.sees("■ stopped", "7 of 8 trials begun")
        await driver.press("x")
        await driver.sees("Remove rates?", "Its runs stay")
        await driver.press("y")
        await driver.sees("No sweeps yet.")
        await driver.wait(lambda: not sweep.path.exists())
        assert store.runs.count() == 7


async def test_a_sweep_of_eight_from_the_form(
    make_app: MakeApp, home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    make_starter(home)
    import_support(home, store)
    with put_away(home.runs), put_away(home.sweeps):
        async with make_app((80, 24)) as driver:
            driver.app.services.sweeps._worker = ("python", WORKER)
            await driver.press("3")
            await driver.sees("support")
            await driver.press("w")
            await driver.sees("learning_rate = 1e-4, 2e-4, 4e-4", "3 runs, every combination")
            await driver.press("end")
            await driver.type(", x")
            await driver.sees("search.learning_rate", "valid number")
            await driver.press("enter", "backspace", "backspace", "backspace")
            await driver.type(", 1e-3")
            await driver.press("down")
            await driver.type("lora_r = 8, 16")
            await driver.sees("8 runs, every combination", "one after the other")
            await driver.press("enter")
            await driver.sees("sweep  ● running", "/8")
            started = store.sweeps.list()[0]
            assert started.spec["trials"] is None and started.spec["recipe"]["dataset"] == "support"
            await driver.sees("sweep-01")
