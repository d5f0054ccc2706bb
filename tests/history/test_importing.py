"""Runs in, once, whole, and contained."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from engine.errors import BadInput, Cancelled
from engine.history import find_history, import_history
from engine.history.importing import as_name, run_id_of, state_of
from engine.runs.manager import RunManager
from engine.runs.protocol import EventWriter
from store import open_store
from store.records import Run, Status
from tests.history.conftest import Here

HUB = "hf_qWe7rTy9uIo3pAs5dFg1hJk8lZx2cVb6nM4q"


def facts(run: Run) -> dict[str, object]:
    """All that is known of a run but where it was kept."""
    return {name: value for name, value in vars(run).items() if name not in ("dir", "notes")}


def test_imported_twice_is_there_once(here: Here, files: Path) -> None:
    first, second = here.take(files), here.take(files)
    assert first.count("imported") == len(first.runs) == 16
    assert second.count("unchanged") == 16 and second.ids == first.ids
    assert here.store.runs.count() == 16


def test_what_was_added_since_is_taken_in_and_what_people_said_stays(here: Here, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(files / "mlflow" / "mlflow.db", path)
    here.take(path)
    run = here.named("it is running")
    here.store.runs.rename(run.id, "mine")
    here.store.runs.set_note(run.id, "looks good")
    here.store.runs.add_tag(run.id, "kept")
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO metrics VALUES ('loss', 0.125, 1795279759999, ?, 35, 0)", (_uuid(path, run),))
        connection.execute("UPDATE runs SET status = 'FINISHED' WHERE run_uuid = ?", (_uuid(path, run),))
        connection.execute("INSERT INTO params VALUES ('seed', '7', ?)", (_uuid(path, run),))
    connection.close()
    outcome = here.take(path)
    assert (outcome.count("updated"), outcome.count("unchanged")) == (1, len(outcome.runs) - 1)
    now = here.run(run.id)
    assert (now.name, now.notes, now.status, now.recipe["seed"]) == ("mine", "looks good", Status.SUCCEEDED, 7)
    assert set(now.tags) == {"kept", "team=support"}
    assert here.points(now, "train/loss")[35] == 0.125


def _uuid(path: Path, run: Run) -> str:
    inputs = json.loads(Path(run.dir, "inputs.json").read_text())
    return str(inputs["source_id"].removeprefix("mlflow:"))


def test_two_hundred_runs_in_one_folder(here: Here, tmp_path: Path) -> None:
    for number in range(200):
        run = tmp_path / "mlruns" / "0" / f"run{number}"
        (run / "metrics").mkdir(parents=True)
        (run / "metrics" / "loss").write_text(f"1763712391000 {number} 3\n")
        (run / "meta.yaml").write_text(f"run_id: run{number}\nrun_name: run {number}\nstatus: 3\n")
    heard: list[float] = []
    outcome = here.take(tmp_path / "mlruns", progress=lambda _name, share: heard.append(share))
    assert outcome.count("imported") == len(set(outcome.ids)) == here.store.runs.count() == 200
    assert heard == sorted(heard) and heard[-1] == pytest.approx(1.0)
    assert here.take(tmp_path).count("unchanged") == 200  # the home is in it, too: its own folders are no others


def test_a_rebuilt_store_is_the_same(here: Here, files: Path) -> None:
    here.take(files)
    before = {run.id: (facts(run), run.notes, here.points(run, "train/loss")) for run in here.store.runs.list()}
    here.store.close()
    here.home.db.unlink()
    store = open_store(here.home.db)
    manager = RunManager(here.home, store)
    assert manager.rebuild() == 16
    again = Here(here.home, store)
    assert repr(
        {run.id: (facts(run), run.notes, again.points(run, "train/loss")) for run in store.runs.list()}
    ) == repr({run.id: before[run.id] for run in store.runs.list()})
    manager.close()
    store.close()


def test_names_and_tags(here: Here, files: Path) -> None:
    run = here.only(files / "tensorboard", name="old one", tags=["past", "past"])
    assert (run.name, run.tags) == ("old one", ("past",))
    with pytest.raises(BadInput, match="characters"):
        here.take(files / "wandb", tags=["x" * 100])
    assert as_name("a\x1b[31mb\nc\u202ed", None) == "a [31mb c d"
    assert len(as_name("deep/" * 40 + "end", None)) == 80 and as_name("deep/" * 40 + "end", None).endswith("/end")


def test_what_is_given_up_leaves_whole_runs_only(here: Here, files: Path) -> None:
    def give_up(_name: str, share: float) -> None:
        if share > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        here.take(files, progress=give_up)
    runs = here.store.runs.list()
    assert 0 < len(runs) < 16 and all(run.status not in (Status.QUEUED, Status.TRAINING) for run in runs)
    assert not list(here.home.runs.glob(".*"))
    assert here.take(files).count("imported") == 16 - len(runs)


def test_a_run_folder_of_another_machine(here: Here, tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    folder.mkdir()
    writer = EventWriter(folder / "events.jsonl", 1, clock=lambda: 1763712391.0)
    writer.write("state", status="training", from_step=0)
    writer.write("metrics", step=1, values={"train/loss": 2.5})
    writer.close()
    (folder / "recipe.toml").write_text('method = "qlora"\nmodel = "starter"\nlora_r = 8\n')
    evil = {"prepare": [{"argv": ["touch", str(tmp_path / "ran")]}], "leases": "/", "devices": ["gpu0"]}
    named = {"id": "r00000000abc", "name": "from afar", "tags": ["x"], "created": 1763712390.0}
    about = {"model": {"name": "starter", "path": "/elsewhere"}, "dataset": {"id": "d1", "name": "chats", "version": 2}}
    secret = "n0t-of-any-known-form-77"
    asked = {"lora_r": 8, "hub_token": secret, "model_init_kwargs": {"api_key": secret, "note": f"token={HUB}"}}
    plan = {"time_s": 60.5, "reasons": {"lora_r": "usual", "password": secret}}
    (folder / "inputs.json").write_text(json.dumps(named | about | evil | {"asked": asked, "plan": plan}))
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_model.bin").write_bytes(b"a pickle")
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    run = here.only(folder)
    assert (run.id, run.name, run.source, run.method, run.dataset) == (
        "r00000000abc",
        "from afar",
        "finetui",
        "qlora",
        "chats",
    )
    assert run.status is Status.LOST and here.points(run, "train/loss") == {1: 2.5}
    kept = {path.name for path in Path(run.dir).iterdir()}
    assert kept == {"events.jsonl", "inputs.json"}
    inputs = json.loads(Path(run.dir, "inputs.json").read_text())
    assert not inputs.keys() & evil.keys() and "path" not in inputs["model"]
    assert secret not in str(inputs) and HUB not in str(inputs)
    assert (inputs["asked"]["lora_r"], inputs["plan"]) == (8, {"time_s": 60.5, "reasons": {"lora_r": "usual"}})
    with pytest.raises(BadInput, match="imported"):
        RunManager(here.home, here.store).resume(run.id)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_in_a_run_folder_are_not_read(here: Here, tmp_path: Path, kind: str) -> None:
    """Each holds what could be read and kept, if anybody followed it."""
    folder, private = tmp_path / "copied", tmp_path / "private"
    folder.mkdir()
    private.mkdir()
    mine = {
        "log.txt": "my diary\n",
        "recipe.toml": 'method = "dora"\nmodel = "my diary"\n',
        "exit.json": json.dumps({"attempt": 1, "code": 1, "signal": None, "ended": 5.0}),
        "process.json": json.dumps({"host": "my diary", "attempt": 1}),
    }
    for name, content in mine.items():
        (private / name).write_text(content)
        if kind == "link":
            (folder / name).symlink_to(private / name)
        else:
            os.mkfifo(folder / name)
    writer = EventWriter(folder / "events.jsonl", 1, clock=lambda: 1763712391.0)
    writer.write("metrics", step=1, values={"train/loss": 2.5})
    writer.close()
    (folder / "inputs.json").write_text(json.dumps({"id": "r00000000abd", "name": "with links"}))
    run = here.only(folder)
    assert {path.name for path in Path(run.dir).iterdir()} == {"events.jsonl", "inputs.json"}
    assert (run.method, run.status) == ("", Status.LOST)
    assert not [path for path in Path(run.dir).iterdir() if "my diary" in path.read_text()]

    for name in ("events.jsonl", "inputs.json"):
        other = tmp_path / f"other {name}"
        shutil.copytree(folder, other, symlinks=True, ignore=shutil.ignore_patterns(*mine))
        if kind == "link":
            (other / name).rename(private / name)
            (other / name).symlink_to(private / name)
        else:
            (other / name).unlink()
            os.mkfifo(other / name)
        with pytest.raises(BadInput, match="nothing to import"):
            find_history(other)


def test_the_runs_of_this_home_are_left_alone(here: Here, files: Path) -> None:
    here.take(files / "tensorboard")
    assert here.take(here.home.root).count("unchanged") == 1
    assert here.store.runs.count() == 1


def test_links_lead_nowhere(here: Here, files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "wandb").symlink_to(files / "wandb")
    (folder / "run-x.wandb").symlink_to(next(files.glob("wandb/*/run-handmade.wandb")))
    (folder / "events.out.tfevents.1").symlink_to("/dev/zero")
    os.mkfifo(folder / "trainer_state.json")
    (folder / "round").symlink_to(folder)
    with pytest.raises(BadInput, match="nothing to import"):
        find_history(folder)
    assert len(find_history(folder / "wandb").runs) == 2  # named by hand, a link is followed


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a" * 300, "\x1b]52;c;x\x07", "[red]", " "])
def test_names_of_others_stay_names(here: Here, tmp_path: Path, name: str) -> None:
    run = tmp_path / "mlruns" / "0" / "abc"
    (run / "metrics").mkdir(parents=True)
    (run / "metrics" / "loss").write_text("1763712391000 1.5 3\n")
    (run / "meta.yaml").write_text(f"run_id: '{name}'\nrun_name: '{name}'\nstatus: 3\n")
    found = here.only(tmp_path)
    assert Path(found.dir).parent == here.home.runs and found.id.isalnum() and len(found.name) <= 80
    assert found.name.isprintable() and here.points(found, "train/loss") == {3: 1.5}


def test_steps_of_real_life(here: Here, tmp_path: Path) -> None:
    """Out of order, missing, fractions, below zero, repeated."""
    folder = tmp_path / "checkpoint-9"
    folder.mkdir()
    entries = [
        {"step": 5, "loss": 1.0},
        {"step": 3, "loss": 2.0},
        {"step": 5, "loss": 0.5},
        {"loss": 0.25},
        {"step": -4, "loss": 9.0},
        {"step": 7.5, "loss": 8.0},
        {"step": 8.0, "loss": 0.125},
    ]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 9, "log_history": entries, "max_steps": 20}))
    [run] = here.take(tmp_path).runs
    assert here.points(here.run(run.id), "train/loss") == {3: 2.0, 5: 0.5, 6: 0.25, 7: 8.0, 8: 0.125}
    assert run.skipped == {"points at steps below 0": 1}
    found = here.run(run.id)
    assert (found.status, found.reason) == (Status.STOPPED, "its last checkpoint is at step 9 of 20")


def test_started_again_supersedes_what_came_after(here: Here, files: Path, tmp_path: Path) -> None:
    from engine.history.items import Part, Row
    from engine.history.writing import HistoryWriter
    from engine.runs.rundir import RunDir, write_json

    made = tmp_path / "made"
    made.mkdir()
    writer = HistoryWriter(made, 0.0)
    for step in range(10):
        writer.take(Row({"loss": 1.0, "eval_loss": 1.0 - step / 10}, step, 1763712391.0 + step))
    writer.take(Part())
    for step in range(6, 9):
        writer.take(Row({"loss": 2.0, "eval_loss": 0.9}, step, 1763712491.0 + step))
    writer.finish()
    write_json(
        RunDir(made).inputs,
        {
            "id": "rwritten0000",
            "name": "again",
            "source": "wandb",
            "model": {"name": ""},
            "dataset": {"id": "", "name": ""},
            "config": {},
            "method": "",
            "tags": [],
            "created": 0.0,
        },
    )
    shutil.copytree(made, here.home.runs / "rwritten0000")
    RunManager(here.home, here.store).rebuild()
    run = here.run("rwritten0000")
    assert here.points(run, "train/loss") == {**dict.fromkeys(range(6), 1.0), 6: 2.0, 7: 2.0, 8: 2.0}
    assert (run.attempt, run.step, run.best_step) == (2, 9, 6)


def test_what_an_import_would_do(here: Here, files: Path) -> None:
    runs = find_history(files / "tensorboard").runs
    assert [state_of(here.home, run) for run in runs] == ["new"]
    import_history(here.home, here.store, runs)
    assert [state_of(here.home, run) for run in runs] == ["here"]
    assert here.store.runs.get(run_id_of(runs[0])) is not None


def test_pickles_are_never_opened(here: Here, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was loaded")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    shutil.copytree(files / "trainer", tmp_path / "trainer")
    (tmp_path / "trainer" / "checkpoint-12" / "training_args.bin").write_bytes(pickle.dumps({}))
    assert here.only(tmp_path).step == 12
