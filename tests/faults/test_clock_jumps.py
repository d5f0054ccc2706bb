"""Row 8: the clock jumps a day either way while real supervisors and workers are at work, and commands look on.

The machine's own clock is left alone: others work on it, and only root may set it. A module on PYTHONPATH moves
`time.time` in every process of the run, and in this one. What the system stamps files with does not move; that is as
where the disk is another machine's.
"""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from engine.runs.manager import RunManager
from store import Store
from store.records import Run, Status
from tests.cli.conftest import Cli, cli, finetui
from tests.engine.runs_at_work import events, reached, wait_for
from tests.engine.test_manager import Managers, folder, recipe
from tests.faults.moved_clock.sitecustomize import moved

__all__ = ["cli", "finetui"]

DAY_S = 86_400.0

Jump = Callable[[float], None]

SPANS = re.compile(r"(_s|seconds|duration|took|age|eta|left|cost|price|electricity|energy_j|progress|tokens_per_s)$")
"""Names in answers of commands that no clock may make negative."""

NEGATIVE = re.compile(r"[-−]\d+(\.\d+)? ?(s|m|h|d|min|days)\b")


@pytest.fixture
def jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jump]:
    """Moves the clock of this process and of all that it starts, by so many seconds from the true time."""
    file = tmp_path / "jump"
    monkeypatch.setenv("FINETUI_TEST_CLOCK", str(file))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "moved_clock"))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", moved(time.time, file))

        def by(seconds: float) -> None:
            temporary = file.with_suffix(".new")
            temporary.write_text(str(seconds), encoding="ascii")
            temporary.replace(file)

        yield by


def negative(answer: Any, name: str = "") -> list[str]:
    """What in a document is less than nothing though it is a span of time, an amount or a share."""
    if isinstance(answer, dict):
        return [bad for key, value in answer.items() for bad in negative(value, f"{name}.{key}")]
    if isinstance(answer, list):
        return [bad for number, value in enumerate(answer) for bad in negative(value, f"{name}[{number}]")]
    if isinstance(answer, (int, float)) and SPANS.search(name.rsplit(".", 1)[-1]) and answer < 0:
        return [f"{name} = {answer}"]
    return []


def look(cli: Cli, *runs: Run) -> None:
    """Whatever a person may ask for has no negative span."""
    asked = [("runs", "ls"), ("queue", "ls"), ("costs",)]
    asked += [("runs", "show", run.id) for run in runs]
    for words in asked:
        told = cli(*words, "--json")
        assert told.status == 0, told.stderr
        assert negative(json.loads(told.stdout)) == [], words
        if words[-1] == "costs":
            continue
        shown = cli(*words)
        assert NEGATIVE.findall(shown.stdout) == [], shown.stdout


@pytest.mark.parametrize("by", [DAY_S, -DAY_S], ids=["forward", "back"])
def test_row_8_the_clock_jumps_while_runs_train_and_wait(
    home: Home, store: Store, managers: Managers, cli: Cli, jump: Jump, by: float
) -> None:
    jump(0.0)
    launcher = managers("--steps", "6", "--hold-at", "3", "--only-attempt", "1")
    first = launcher.launch(recipe(cost_per_hour=3600.0), name="first")
    reached(folder(home, first), 3)
    second = launcher.launch(recipe(cost_per_hour=3600.0), name="second")
    wait_for(lambda: any(event.get("phase", "").startswith("waiting") for event in events(folder(home, second))))
    cli("runs", "ls")  # takes in what there is before the jump
    jump(by)
    look(cli, first, second)
    (folder(home, first).path / "go").touch()
    reached(folder(home, second), 3)
    look(cli, second)
    jump(0.0)  # and it is set right again
    (folder(home, second).path / "go").touch()

    def over() -> list[Run] | None:
        launcher.refresh()
        found = [store.runs.get(run.id) for run in (first, second)]
        return [run for run in found if run] if all(run and not run.status.live for run in found) else None

    runs: list[Run] = wait_for(over)
    for run in runs:
        assert (run.status, run.step, run.warnings) == (Status.SUCCEEDED, 6, 0)
        written = events(folder(home, run))
        assert [event["seq"] for event in written] == list(range(len(written)))
        series = store.metrics.series(run.id, "train/loss")
        assert series is not None
        assert (series.steps, series.values) == ([*range(1, 7)], [1 / step for step in range(1, 7)])
        assert run.started is not None and run.ended is not None and run.ended >= run.started
        assert all(one.ended is not None and one.ended >= one.started for one in store.runs.attempts(run.id))
    jumped = [abs(after["t"] - before["t"]) for run in runs for before, after in pairs(events(folder(home, run)))]
    assert max(jumped) > DAY_S / 2, "the workers did not see the jump"


def pairs(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [*itertools.pairwise(found)]


def test_row_8_a_run_killed_and_resumed_before_its_beginning(
    home: Home, store: Store, managers: Managers, cli: Cli, jump: Jump
) -> None:
    """The exit record, the verdict and the next attempt are all of a day before the run was launched."""
    jump(0.0)
    manager: RunManager = managers("--steps", "4", "--hold-at", "2", "--only-attempt", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 2)
    jump(-DAY_S)
    manager.stop(run.id, now=True)

    def over() -> Run | None:
        manager.refresh()
        found = store.runs.get(run.id)
        return found if found and not found.status.live else None

    stopped: Run = wait_for(over)
    assert stopped.status is Status.STOPPED
    assert stopped.ended is not None and stopped.started is not None and stopped.ended >= stopped.started
    assert all(one.ended is not None and one.ended >= one.started for one in store.runs.attempts(run.id))
    (folder(home, run).path / "go").touch()
    manager.resume(run.id)
    ended: Run = wait_for(over)
    assert (ended.status, ended.attempt, ended.step) == (Status.SUCCEEDED, 2, 4)
    assert [one.number for one in store.runs.attempts(run.id)] == [1, 2]
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None and series.steps == [1, 2, 3, 4]
    look(cli, run)


def test_row_8_a_jump_makes_no_run_a_stranger_and_ends_none(
    home: Home, store: Store, managers: Managers, finetui: Cli, jump: Jump
) -> None:
    """Who is alive is told by ticks since the boot: another process, that has only the new time, agrees."""
    jump(0.0)
    manager = managers("--steps", "3", "--hold-at", "2")
    run = manager.launch(recipe())
    reached(folder(home, run), 2)
    jump(DAY_S)
    told = finetui("runs", "show", run.id, "--json")
    assert json.loads(told.stdout)["status"] == "training", told.stdout
    jump(0.0)
    (folder(home, run).path / "go").touch()
    wait_for(lambda: manager.refresh() is not None and (now := store.runs.get(run.id)) and not now.status.live)
