"""The short form of the soak, and the audit by which it judges: what is lost must be seen."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engine.home import Home
from engine.runs.ingest import ingest_run
from engine.runs.rundir import COMMITTED, RunDir, write_json
from store import Store, open_store
from store.records import NewRun
from tests.faults.soak import worker
from tests.faults.soak.actor import COPY
from tests.faults.soak.audit import MARK, Audit
from tests.faults.soak.soak import Soak

STEPS = 7
INPUTS: dict[str, Any] = {
    "id": "r1",
    "name": "first",
    "created": 0.0,
    "tags": [],
    "model": {"name": "starter"},
    "dataset": {"id": "d1", "name": "d"},
}


@pytest.mark.usefixtures("store")
def test_rows_1_to_3_whatever_is_killed_at_random_nothing_is_lost(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "")  # put back when it is over
    report = Soak(home, 7, steps=30, say=lambda _line: None).run(kills=10, minutes=2)
    assert report.lost == []
    assert report.total >= 10 and report.losses > 100 and report.checkpoints > 30


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Finished"]:
    """One run that a worker of the soak has finished, in the store."""
    monkeypatch.setenv(MARK, "one run")
    made = Finished(tmp_path)
    assert made.audit.look() == [] and made.audit.conclude(STEPS) == []
    with made.left:
        yield made
    made.store.close()


class Finished:
    def __init__(self, place: Path) -> None:
        home = Home(place / "one").ensure()
        self.left = ExitStack()
        self.store: Store = open_store(home.db)
        self.run = RunDir(home.runs / "r1")
        self.run.path.mkdir()
        self.leases = home.root / "leases"
        (self.leases / "held" / "cpu").mkdir(parents=True)
        self.witness = witness = place / "witness"
        witness.mkdir()
        self.store.runs.add(NewRun("r1", "first", "starter", "lora", "d", "d1", 0.0, {}, str(self.run.path)))
        options = ["--steps", str(STEPS), "--delay", "0", "--witness", str(witness), str(self.run.path)]
        subprocess.run(
            [sys.executable, worker.__file__, *options], env=os.environ | {"FINETUI_ATTEMPT": "1"}, check=True
        )
        ingest_run(self.store, "r1", self.run)
        self.audit = Audit(home, self.store, witness)
        self.home = home

    def look_again(self) -> list[str]:
        return Audit(self.home, self.store, self.witness).conclude(STEPS)


def lose_an_event(finished: Finished) -> None:
    lines = finished.run.events.read_bytes().splitlines(keepends=True)
    finished.run.events.write_bytes(b"".join(line for line in lines if b'"step":4,"values"' not in line))


def lose_a_checkpoint(finished: Finished) -> None:
    (finished.run.checkpoints / "step-000006" / COMMITTED).unlink()


def change_a_checkpoint(finished: Finished) -> None:
    (finished.run.checkpoints / "step-000006" / "adapter_model.safetensors").write_bytes(worker.weights(5))


def cut_a_checkpoint(finished: Finished) -> None:
    file = finished.run.checkpoints / "step-000007" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def change_the_adapter(finished: Finished) -> None:
    (finished.run.adapter / "adapter_model.safetensors").write_bytes(worker.weights(5))


def lose_the_adapter(finished: Finished) -> None:
    (finished.run.adapter / "adapter_model.safetensors").unlink()


def lose_a_point(finished: Finished) -> None:
    with finished.store.transaction() as connection:
        connection.execute("DELETE FROM points WHERE step = 3")


def change_a_point(finished: Finished) -> None:
    with finished.store.transaction() as connection:
        connection.execute("UPDATE points SET value = 0 WHERE step = 3")


def damage_the_store(finished: Finished) -> None:
    connection = sqlite3.connect(finished.store.path)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("DELETE FROM runs")
    connection.commit()
    connection.close()


def go_on_too_early(finished: Finished) -> None:
    with (finished.witness / "r1").open("a", encoding="ascii") as file:
        file.write("from 3\n")


def keep_a_lease(finished: Finished) -> None:
    file = finished.left.enter_context((finished.leases / "held" / "cpu" / "1-r1").open("w"))
    fcntl.flock(file, fcntl.LOCK_EX)


def leave_a_process(finished: Finished) -> None:
    process = subprocess.Popen(["sleep", "60"], env=os.environ)
    finished.left.callback(process.wait)
    finished.left.callback(process.kill)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lose_an_event, "the loss of step 4 in attempt 1 is not in the log"),
        (lose_a_checkpoint, "the committed checkpoint of step 6 is gone"),
        (change_a_checkpoint, "the checkpoint of step 6 has other weights than were saved"),
        (cut_a_checkpoint, "damaged are"),
        (change_the_adapter, "its adapter is not that of its last step"),
        (lose_the_adapter, "its adapter is gone"),
        (lose_a_point, "step 3 shows None"),
        (change_a_point, "step 3 shows 0.0"),
        (damage_the_store, "the store: "),
        (go_on_too_early, "it went on from step 3, but 7 was committed"),
        (keep_a_lease, "is held"),
        (leave_a_process, "is left: sleep 60"),
    ],
)
def test_what_is_lost_is_seen(finished: Finished, harm: Callable[[Finished], None], words: str) -> None:
    harm(finished)
    wrong = finished.look_again()
    assert any(words in problem for problem in wrong), wrong


def lose_the_run(finished: Finished) -> None:
    finished.store.runs.delete("r1")


def lose_the_note(finished: Finished) -> None:
    finished.store.runs.set_note("r1", "")


def change_what_the_log_says(finished: Finished) -> None:
    """After it was taken in: the store is right, and made anew it would not be."""
    line = f'"train/loss":{worker.loss(1, 3)}'
    text = finished.run.events.read_text()
    assert line in text
    finished.run.events.write_text(text.replace(line, '"train/loss":0.5'))


def change_its_name(finished: Finished) -> None:
    write_json(finished.run.inputs, INPUTS | {"name": "another"})


def lose_its_inputs(finished: Finished) -> None:
    finished.run.inputs.unlink()


def cut_the_copy(finished: Finished) -> None:
    copy = finished.home.root / COPY
    copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lose_the_run, "r1: launched, and not in the store"),
        (lose_the_note, "r1: its note is '', not 'mine'"),
        (change_what_the_log_says, "the store made anew from the folders is another one"),
        (change_its_name, "the store made anew from the folders is another one"),
        (lose_its_inputs, "the store made anew from the folders is another one"),
        (cut_the_copy, "the copy of the store: "),
    ],
)
def test_a_soak_sees_what_was_promised_and_is_lost(
    finished: Finished, harm: Callable[[Finished], None], words: str
) -> None:
    finished.run.recipe.write_text('method = "lora"\n')
    write_json(finished.run.inputs, INPUTS)
    finished.store.backup(finished.home.root / COPY)
    soak = Soak(finished.home, 1, steps=STEPS, say=lambda _line: None)
    soak._note({"do": "launch"}, {"run": "r1"})
    soak._note({"do": "note", "run": "r1", "text": "mine"}, {"done": "note"})
    finished.store.runs.set_note("r1", "mine")
    soak._look()
    soak._conclude()
    assert soak.report.lost == []
    harm(finished)
    soak._look()
    soak._conclude()
    assert any(problem.startswith(words) for problem in soak.report.lost), soak.report.lost


class Asked:
    """An actor that is killed before it has answered, or after."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def ask(self, **wish: Any) -> None:
        pass

    def kill(self) -> dict[str, Any]:
        return self._answer


@pytest.mark.parametrize(
    ("doing", "answer", "counted"),
    [
        ("backup", {}, "backup"),
        ("backup", {"done": "backup"}, "ingest"),
        ("resume", {}, "ingest"),
        ("stop", {}, "ingest"),
        ("ingest", {}, "ingest"),
    ],
)
def test_a_kill_counts_as_what_was_under_way(
    home: Home, monkeypatch: pytest.MonkeyPatch, doing: str, answer: dict[str, Any], counted: str
) -> None:
    monkeypatch.setenv(MARK, "")
    monkeypatch.setattr(Soak, "_new_actor", lambda _soak: Asked(answer))
    soak = Soak(home, 1, say=lambda _line: None)
    soak._actors = [soak._new_actor()]
    soak._kill_actor(doing, 0.0)  # there is no run yet to be resumed or stopped
    assert soak.report.kills == {counted: 1}
    soak._store.close()
