"""Runs from launch to end, with the real store, real supervisors and a stand-in for the worker."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.recipe import Recipe, make_recipe
from engine.runs import launcher, requirements
from engine.runs.manager import RunManager
from engine.runs.resolve import find_run
from engine.runs.rundir import RunDir, read_json
from store import Store, open_store
from store.records import Run, Status
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import (
    PROJECT,
    ending,
    events,
    import_support,
    kill,
    put_away,
    reached,
    record,
    stand_in,
    wait_for,
)

Managers = Callable[..., RunManager]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    home = Home(tmp_path / "home").ensure()
    make_starter(home)
    with put_away(home.runs):
        yield home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = open_store(home.db)
    import_support(home, store)
    yield store
    store.close()


@pytest.fixture
def managers(home: Home, store: Store) -> Iterator[Managers]:
    """Makes managers whose worker is the stand-in with the options given."""
    made: list[RunManager] = []

    def make(*options: str) -> RunManager:
        made.append(RunManager(home, store, worker=stand_in(*options)))
        return made[-1]

    yield make
    for manager in made:
        manager.close()


def recipe(**fields: object) -> Recipe:
    return make_recipe({"dataset": "support"} | fields)


def folder(home: Home, run: Run) -> RunDir:
    return RunDir(home.runs / run.id)


def look(manager: RunManager, store: Store, run: Run) -> Run:
    manager.refresh()
    found = store.runs.get(run.id)
    assert found is not None
    return found


def ended(manager: RunManager, store: Store, run: Run) -> Run:
    """The run once it has ended."""

    def over() -> Run | None:
        found = look(manager, store, run)
        return None if found.status.live else found

    found: Run = wait_for(over)
    return found


# launching


def test_from_launch_to_end(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--steps", "4")
    run = manager.launch(recipe(), name="first", tags=["a", "b"])
    assert (run.name, run.status, run.tags, run.dataset, run.model) == (
        "first",
        Status.QUEUED,
        ("a", "b"),
        "support",
        "starter",
    )
    run = ended(manager, store, run)
    assert (run.status, run.step, run.total_steps, run.attempt) == (Status.SUCCEEDED, 4, 4, 1)
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None
    assert series.steps == [1, 2, 3, 4]
    inputs = read_json(folder(home, run).inputs)
    assert inputs is not None
    assert inputs["devices"] == ["cpu"]
    assert inputs["prepare"][0]["phase"] == "building the starter model"
    assert "starter model" not in folder(home, run).events.read_text(), "it is there, and is not built again"
    assert inputs["asked"] == recipe().model_dump(mode="json")
    frozen = tomllib.loads(folder(home, run).recipe.read_text())
    still_open = {name for name, value in frozen.items() if value == "auto"}
    assert still_open <= {"eval_steps", "precision", "devices", "distributed"}
    supervisor = record(folder(home, run)).supervisor
    assert supervisor is not None
    wait_for(lambda: manager.refresh() is not None and not Path(f"/proc/{supervisor.pid}").exists())  # nor a zombie


def test_names_and_ids(store: Store, managers: Managers) -> None:
    manager = managers("--steps", "1")
    names = [manager.launch(recipe()).name, manager.launch(recipe()).name, manager.launch(recipe(method="full")).name]
    assert names == ["support-qlora-r16", "support-qlora-r16-2", "support-full"]
    ids = [launcher.new_run_id() for _ in range(50)]
    assert len(set(ids)) > 45, "of those made in one millisecond, two may be equal by chance"
    assert [run_id[:9] for run_id in ids] == sorted(run_id[:9] for run_id in ids)
    assert all(len(run_id) == 12 and run_id.startswith("r") for run_id in ids)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "x" * 81, "back\u202ewards", "\ud800"])
def test_bad_names_are_refused(home: Home, store: Store, managers: Managers, name: str) -> None:
    with pytest.raises(BadInput, match="A name"):
        managers().launch(recipe(), name=name)
    assert store.runs.count() == 0
    assert not list(home.runs.iterdir())


def test_what_cannot_be_trained_is_refused_and_leaves_nothing(
    home: Home, store: Store, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = managers()
    with pytest.raises(NotFound, match="nothing-like-it"):
        manager.launch(recipe(dataset="nothing-like-it"))
    with pytest.raises(BadInput, match="no-such-model"):
        manager.launch(recipe(model="no-such-model"))
    with pytest.raises(BadInput, match="3 things") as several:
        manager.launch(recipe(dataset="nothing-like-it", model="no-such-model", nodes=2))
    assert all(word in str(several.value) for word in ("dataset: ", "model: ", "nodes: ", "finetui datasets ls"))
    monkeypatch.setattr(requirements, "TORCH_SIDE", ("torch", "finetui_has_no_such_package"))
    with pytest.raises(BadInput, match="not train") as refused:
        manager.launch(recipe())
    assert "pip install 'finetui[train]'" in str(refused.value)
    assert store.runs.count() == 0
    assert not list(home.runs.iterdir())


def test_a_home_that_cannot_be_written(home: Home, store: Store, managers: Managers) -> None:
    manager = managers()
    home.runs.rmdir()
    home.runs.symlink_to("/proc")  # read-only to root, too
    with pytest.raises(BadInput, match="cannot be made"):
        manager.launch(recipe())
    home.runs.unlink()
    assert store.runs.count() == 0


def test_a_worker_that_finds_no_python_at_all_fails_the_run(store: Store, home: Home) -> None:
    manager = RunManager(home, store, worker=["/nowhere/python"])
    run = ended(manager, store, manager.launch(recipe()))
    assert run.status is Status.FAILED
    assert "/nowhere/python cannot be started" in run.reason
    manager.close()


# stopping


def test_stop_saves_and_resume_goes_on_from_there(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--steps", "5", "--hold-at", "2")
    run = manager.launch(recipe())
    reached(folder(home, run), 2)
    assert look(manager, store, run).status is Status.TRAINING
    manager.stop(run.id)
    run = ended(manager, store, run)
    assert (run.status, run.reason, run.step) == (Status.STOPPED, "stopped at step 2", 2)
    with pytest.raises(BadInput, match="it is stopped"):
        manager.stop(run.id)

    manager.resume(run.id)
    again = store.runs.get(run.id)
    assert again is not None
    assert (again.status, again.attempt) == (Status.QUEUED, 2), "at once, before its process is there"
    run = ended(manager, store, run)
    assert (run.status, run.step, run.attempt, run.reason) == (Status.SUCCEEDED, 5, 2, "")
    assert [attempt.from_step for attempt in store.runs.attempts(run.id)] == [0, 2]
    series = store.metrics.series(run.id, "train/loss")
    assert series is not None
    assert series.steps == [1, 2, 3, 4, 5]
    first = read_json(folder(home, run).path / "exit-1.json")
    assert first is not None
    assert (first["attempt"], first["requested"]) == (1, "stop")
    assert ending(folder(home, run))["attempt"] == 2
    assert read_json(folder(home, run).path / "process-1.json")
    with pytest.raises(BadInput, match="succeeded"):
        manager.resume(run.id)


def test_kill(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--ignore-term", "--hold-at", "2")
    run = manager.launch(recipe())
    reached(folder(home, run), 2)
    manager.stop(run.id, now=True)
    run = ended(manager, store, run)
    assert (run.status, run.reason) == (Status.STOPPED, "killed; 2 steps kept")


def test_a_stop_right_after_the_launch_is_not_lost(store: Store, managers: Managers) -> None:
    manager = managers("--steps", "1000", "--delay", "0.05")
    run = manager.launch(recipe())
    manager.stop(run.id)
    assert ended(manager, store, run).status is Status.STOPPED


def test_two_runs_queue_for_one_device_and_the_second_is_cancelled(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--hold-at", "1")
    first = manager.launch(recipe())
    reached(folder(home, first), 1)
    second = manager.launch(recipe())
    waiting = wait_for(lambda: (found := look(manager, store, second)).phase == "waiting for cpu" and found)
    assert waiting.status is Status.QUEUED
    manager.stop(second.id)
    second = ended(manager, store, second)
    assert (second.status, second.reason) == (Status.STOPPED, "stopped while waiting for cpu")
    assert look(manager, store, first).status is Status.TRAINING
    (folder(home, first).path / "go").touch()
    assert ended(manager, store, first).status is Status.SUCCEEDED


# what goes wrong


def test_a_crash_is_told_by_its_traceback_and_can_be_resumed(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--crash-at", "2", "--only-attempt", "1")
    run = ended(manager, store, manager.launch(recipe()))
    assert (run.status, run.reason, run.step) == (Status.FAILED, "ValueError: the loss is red", 1)
    manager.resume(run.id)
    run = ended(manager, store, run)
    assert (run.status, run.reason, run.attempt) == (Status.SUCCEEDED, "", 2)


def test_a_resume_without_a_checkpoint_starts_again_and_says_so(store: Store, home: Home, managers: Managers) -> None:
    manager = managers("--no-checkpoints", "--crash-at", "3", "--only-attempt", "1")
    run = ended(manager, store, manager.launch(recipe()))
    assert run.status is Status.FAILED
    manager.resume(run.id)
    run = ended(manager, store, run)
    assert run.status is Status.SUCCEEDED
    announced = next(event for event in events(folder(home, run), "state") if event["attempt"] == 2)
    assert announced["reason"] == "no checkpoint was saved: it starts again from step 0"
    assert [attempt.from_step for attempt in store.runs.attempts(run.id)] == [0, 0]


def test_a_worker_killed_from_outside_has_failed(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold-at", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    worker = record(folder(home, run)).worker
    assert worker is not None
    kill(worker.pid)
    run = ended(manager, store, run)
    assert (run.status, run.reason) == (Status.FAILED, "killed by signal 9 (SIGKILL)")


def test_a_torn_line_hides_nothing(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--torn-at", "3", "--only-attempt", "1", "--steps", "4")
    run = ended(manager, store, manager.launch(recipe()))
    assert (run.status, run.step, run.warnings) == (Status.FAILED, 2, 0)
    manager.resume(run.id)
    run = ended(manager, store, run)
    assert (run.status, run.step, run.warnings) == (Status.SUCCEEDED, 4, 1)
    assert len(store.runs.problems(run.id)) == 1


def test_a_worker_that_leaves_without_a_word_has_failed(store: Store, managers: Managers) -> None:
    manager = managers("--exit-at", "2")
    run = ended(manager, store, manager.launch(recipe()))
    assert (run.status, run.reason) == (Status.FAILED, "the worker ended without saying how")


@pytest.mark.parametrize("how", ["let it end", "stop", "kill"])
def test_a_run_whose_supervisor_was_killed_goes_on(home: Home, store: Store, managers: Managers, how: str) -> None:
    manager = managers("--hold-at", "1", "--steps", "2")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    supervisor = record(folder(home, run)).supervisor
    assert supervisor is not None
    kill(supervisor.pid)
    wait_for(lambda: len(record(folder(home, run)).alive()) == 1)
    assert look(manager, store, run).status is Status.TRAINING
    if how == "let it end":
        (folder(home, run).path / "go").touch()
    else:
        manager.stop(run.id, now=how == "kill")
    run = ended(manager, store, run)
    assert (run.status, run.reason) == {
        "let it end": (Status.SUCCEEDED, ""),
        "stop": (Status.STOPPED, "stopped at step 1"),
        "kill": (Status.STOPPED, "killed; 1 step kept"),
    }[how]


def test_killing_supervisor_and_worker_loses_the_run_until_it_is_resumed(
    home: Home, store: Store, managers: Managers
) -> None:
    manager = managers("--hold-at", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    found = record(folder(home, run))
    for process in found.alive():
        kill(process.pid)
    wait_for(lambda: look(manager, store, run).status is Status.LOST)
    lost = look(manager, store, run)
    assert lost.reason == "the process is gone without an exit record"
    with pytest.raises(BadInput, match="it is lost"):
        manager.stop(run.id)
    manager.resume(run.id)
    (folder(home, run).path / "go").touch()
    run = ended(manager, store, run)
    assert (run.status, run.attempt) == (Status.SUCCEEDED, 2)


def test_killing_the_process_that_launched_it_changes_nothing(home: Home, store: Store, managers: Managers) -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        from engine.home import Home
        from engine.recipe import make_recipe
        from engine.runs.manager import RunManager
        from store import open_store
        home = Home(Path({str(home.root)!r}))
        manager = RunManager(home, open_store(home.db), worker={stand_in("--steps", "4", "--hold-at", "2")!r})
        print(manager.launch(make_recipe({{"dataset": "support"}})).id, flush=True)
        while True:
            manager.refresh()
            time.sleep(0.05)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        run = find_run(store, other.stdout.readline())
        reached(folder(home, run), 2)
        os.kill(other.pid, signal.SIGKILL)
    manager = managers()
    (folder(home, run).path / "go").touch()
    run = ended(manager, store, run)
    assert (run.status, run.step) == (Status.SUCCEEDED, 4)
    assert [event["seq"] for event in events(folder(home, run))] == list(range(store.runs.last_seq(run.id) + 1))


# keeping up


def test_refresh_tells_what_changed_and_one_manager_takes_in(home: Home, store: Store, managers: Managers) -> None:
    writer, reader = managers("--hold-at", "1"), managers()
    writer.refresh()
    reader.refresh()
    run = writer.launch(recipe())
    reached(folder(home, run), 1)
    assert run.id in writer.refresh()
    assert writer.refresh() == set()
    told: list[set[str]] = []
    thread = threading.Thread(target=lambda: told.append(reader.refresh()))
    thread.start()
    thread.join()
    assert told == [{run.id}], "by what the other wrote"
    (folder(home, run).path / "go").touch()
    ending(folder(home, run))
    reader.refresh()
    assert store.runs.live(), "the reader leaves the log alone"
    writer.close()
    assert ended(reader, store, run).status is Status.SUCCEEDED, "until the writer has left"


def test_one_unreadable_log_does_not_hold_up_the_other_runs(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold-at", "1")
    broken = manager.launch(recipe())
    reached(folder(home, broken), 1)
    manager.refresh()
    other = manager.launch(recipe())
    folder(home, broken).events.rename(folder(home, broken).path / "moved")
    folder(home, broken).events.mkdir()
    (folder(home, broken).path / "go").touch()
    (folder(home, other).path / "go").touch()
    assert ended(manager, store, other).status is Status.SUCCEEDED
    assert [run.id for run in store.runs.live()] == [broken.id]
    with pytest.raises(IsADirectoryError):
        manager.refresh()


def test_remove(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--hold-at", "1")
    run = manager.launch(recipe())
    reached(folder(home, run), 1)
    with pytest.raises(BadInput, match="Stop it first"):
        manager.remove(run.id)
    manager.stop(run.id)
    ended(manager, store, run)
    manager.remove(run.id)
    assert store.runs.get(run.id) is None
    assert not list(home.runs.iterdir())
    assert run.id in manager.refresh()
    with pytest.raises(BadInput, match="no run"):
        manager.remove(run.id)


def test_rebuild_finds_everything_again(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--crash-at", "3", "--only-attempt", "1")
    failed = ended(manager, store, manager.launch(recipe(), tags=["kept"]))
    resumed = ended(manager, store, manager.launch(recipe()))
    manager.resume(resumed.id)
    resumed = ended(manager, store, resumed)
    store.runs.set_note(resumed.id, "mine")
    (home.runs / "not-a-run").mkdir()
    series = store.metrics.series(resumed.id, "train/loss")
    store.runs.delete(failed.id)

    other = managers()
    with pytest.raises(BadInput, match="another finetui"):
        other.rebuild()
    assert manager.rebuild() == 2
    assert store.runs.get(failed.id) == failed
    again = store.runs.get(resumed.id)
    assert again is not None
    assert (again.notes, again.status, again.attempt) == ("mine", Status.SUCCEEDED, 2)
    assert store.metrics.series(resumed.id, "train/loss") == series


# finding


def test_find_run(store: Store, managers: Managers) -> None:
    manager = managers("--steps", "1")
    with pytest.raises(NotFound, match="No run has been launched"):
        find_run(store, "anything")
    one = manager.launch(recipe(), name="support-first")
    two = manager.launch(recipe(), name="emoji-first")
    assert find_run(store, one.id).id == one.id
    assert find_run(store, " support-first ").id == one.id
    assert find_run(store, two.id[:-1] if one.id[:-1] != two.id[:-1] else two.id).id == two.id
    with pytest.raises(NotFound, match="Did you mean support-first"):
        find_run(store, "suport-frist")
    with pytest.raises(BadInput, match="could be 2 runs") as unclear:
        find_run(store, "r")
    assert one.id in unclear.value.why
    assert "emoji-first" in unclear.value.why
