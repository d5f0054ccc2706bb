"""Doing what is offered about a finding, on real runs of a stand-in; and going on from a checkpoint."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, NotFound
from engine.home import Home
from engine.insight.acting import apply_act
from engine.insight.diagnosis import Act
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from engine.runs.parents import find_parent, split_step
from engine.runs.rundir import RunDir, read_json
from store import Store, open_store
from store.records import Run, Status
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import gone, import_support, put_away, reached, stand_in, wait_for
from tests.store.builders import new_run, the


@pytest.fixture
def home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    make_starter(home.ensure())
    with put_away(home.runs):
        yield home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    store = open_store(home.db)
    import_support(home, store)
    yield store
    store.close()


@pytest.fixture
def manager(home: Home, store: Store) -> Iterator[RunManager]:
    """A manager whose runs stay at step 3 until they are asked to stop."""
    manager = RunManager(home, store, worker=stand_in("--steps", "6", "--hold-at", "3"))
    yield manager
    manager.close()


def add_adapters(rundir: RunDir) -> None:
    """Give each checkpoint of the stand-in what an adapter has."""
    for folder in rundir.committed_checkpoints():
        (folder / "adapter_config.json").write_text(json.dumps({"step": folder.name}))
        (folder / "adapter_model.safetensors").write_bytes(folder.name.encode())
        (folder / "optimizer.pt").write_bytes(b"not copied")


def at_step_3(home: Home, manager: RunManager, **recipe: Any) -> tuple[Run, RunDir]:
    """A live run that has three checkpoints."""
    run = manager.launch(make_recipe({"dataset": "support", "lora_r": 32} | recipe), name="first", tags=["kept"])
    rundir = RunDir(home.runs / run.id)
    reached(rundir, 3)
    add_adapters(rundir)
    manager.refresh()
    return run, rundir


def ended(manager: RunManager, store: Store, run_id: str) -> Run:
    def over() -> Run | None:
        manager.refresh()
        run = the(store.runs.get(run_id))
        return None if run.status.live else run

    found: Run = wait_for(over)
    return found


def test_what_a_run_shows_is_kept_while_it_is_followed(home: Home, store: Store) -> None:
    manager = RunManager(home, store, worker=stand_in("--steps", "3", "--losses", "2,1,nan"))
    run = manager.launch(make_recipe({"dataset": "support"}))
    assert ended(manager, store, run.id).finding == "not_finite"
    found = [(row.code, row.level, row.step) for row in store.findings.of(run.id)]
    assert found == [("not_finite", "error", 3)]
    store.findings.replace(run.id, [])
    assert manager.rebuild() == 1
    assert [row.code for row in store.findings.of(run.id)] == ["not_finite"]
    manager.close()


def test_stop_and_keep(home: Home, store: Store, manager: RunManager) -> None:
    run, _ = at_step_3(home, manager)
    assert apply_act(manager, store, run, Act("stop", "stop and keep step 3", from_step=3)) == run.id
    assert ended(manager, store, run.id).status is Status.STOPPED
    with pytest.raises(BadInput, match="has ended already"):
        apply_act(manager, store, run, Act("stop", "stop"))


def test_branch_from_a_checkpoint_of_a_run_at_work(home: Home, store: Store, manager: RunManager) -> None:
    run, rundir = at_step_3(home, manager)
    act = Act("branch", "branch from step 2", {"learning_rate": 1e-4, "num_train_epochs": 2.0}, from_step=2)
    new_id = apply_act(manager, store, run, act)
    new = the(store.runs.get(new_id))
    assert (new.name, new.tags, new.parent) == ("first-2", ("kept",), run.id)
    assert (new.recipe["learning_rate"], new.recipe["lora_r"]) == (1e-4, 32)
    assert new.recipe["continue_from"] == f"{run.id}@2"
    assert ended(manager, store, run.id).status is Status.STOPPED, "it makes room for the other"
    wait_for(lambda: gone(rundir))
    shutil.rmtree(rundir.checkpoints)  # as the run deletes its older ones
    parent = (read_json(RunDir(home.runs / new_id).inputs) or {})["parent"]
    assert (parent["id"], parent["name"], parent["step"]) == (run.id, "first", 2)
    start = Path(parent["adapter"])
    assert start.is_relative_to(home.runs / new_id)
    assert sorted(file.name for file in start.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert (start / "adapter_model.safetensors").read_bytes() == b"step-000002"
    reached(RunDir(home.runs / new_id), 3)


def test_train_again_with_changes(home: Home, store: Store, manager: RunManager) -> None:
    run, _ = at_step_3(home, manager)
    manager.stop(run.id)
    ended(manager, store, run.id)
    new_id = apply_act(manager, store, run, Act("retrain", "train again", {"lora_dropout": 0.1, "lora_r": 8}))
    new = the(store.runs.get(new_id))
    assert (new.recipe["lora_dropout"], new.recipe["lora_r"], new.parent) == (0.1, 8, "")
    assert "continue_from" not in new.recipe
    reached(RunDir(home.runs / new_id), 3)


def test_resume(home: Home, store: Store, manager: RunManager) -> None:
    run, _ = at_step_3(home, manager)
    manager.stop(run.id)
    ended(manager, store, run.id)
    assert apply_act(manager, store, run, Act("resume", "resume")) == run.id
    assert the(store.runs.get(run.id)).status.live
    assert ended(manager, store, run.id).step == 6, "past the step at which it was stopped, it goes on to the end"


def test_what_cannot_be_done_changes_nothing(home: Home, store: Store, manager: RunManager) -> None:
    run, rundir = at_step_3(home, manager)
    with pytest.raises(BadInput, match="no checkpoint of step 70") as refused:
        apply_act(manager, store, run, Act("branch", "branch", {"learning_rate": 1e-4}, from_step=70))
    assert "1, 2, 3" in refused.value.why
    with pytest.raises(BadInput, match="only you can give") as data:
        apply_act(manager, store, run, Act("data", "look at the rows"))
    assert f"finetui datasets validate {run.dataset_id}" in data.value.fix
    with pytest.raises(BadInput, match="learning_rate"):
        apply_act(manager, store, run, Act("retrain", "again", {"learning_rate": -1}))
    assert len(store.runs.list()) == 1 and not gone(rundir)
    store.runs.add(new_run("r9", "from afar", source="wandb"))
    with pytest.raises(BadInput, match="was imported"):
        apply_act(manager, store, the(store.runs.get("r9")), Act("stop", "stop"))


# continue_from


def left_by(home: Home, store: Store, name: str, run_id: str = "r1") -> RunDir:
    """A run that has ended, with checkpoints of the steps 10 and 20 and no adapter of its own."""
    rundir = RunDir(home.runs / run_id)
    for step in (10, 20):
        folder = rundir.checkpoints / f"step-{step:06d}"
        folder.mkdir(parents=True)
        (folder / "COMMITTED").touch()
    add_adapters(rundir)
    told = json.loads(make_recipe({"dataset": "support"}).model_dump_json())
    store.runs.add(new_run(run_id, name, recipe=told, dir=str(rundir.path)))
    return rundir


def test_a_checkpoint_is_named_by_its_run_and_step(home: Home, store: Store) -> None:
    rundir = left_by(home, store, "first")
    recipe = make_recipe({"dataset": "support", "continue_from": "first@20"})
    parent = find_parent(home, store, recipe, None)
    assert (parent.id, parent.step, parent.adapter) == ("r1", 20, str(rundir.checkpoints / "step-000020"))
    with pytest.raises(BadInput, match="no checkpoint of step 30") as refused:
        find_parent(home, store, recipe.model_copy(update={"continue_from": "r1@30"}), None)
    assert refused.value.why == "It keeps those of 10, 20."
    with pytest.raises(BadInput, match="has no adapter to go on from"):
        find_parent(home, store, recipe.model_copy(update={"continue_from": "first"}), None)
    with pytest.raises(NotFound, match="nobody"):
        find_parent(home, store, recipe.model_copy(update={"continue_from": "nobody@20"}), None)


def test_a_checkpoint_half_saved_is_none(home: Home, store: Store) -> None:
    rundir = left_by(home, store, "first")
    (rundir.checkpoints / "step-000020" / "COMMITTED").unlink()
    with pytest.raises(BadInput, match="no checkpoint of step 20"):
        find_parent(home, store, make_recipe({"dataset": "support", "continue_from": "first@20"}), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("first@20", ("first", 20)),
        (" first@20 ", ("first", 20)),
        ("lr@2", ("lr@2", None)),
        ("lr@2@7", ("lr@2", 7)),
        ("me@home", ("me@home", None)),
        ("@20", ("@20", None)),
    ],
)
def test_a_run_may_itself_be_called_so(home: Home, store: Store, text: str, expected: tuple[str, int | None]) -> None:
    left_by(home, store, "lr@2")
    assert split_step(store, text) == expected
