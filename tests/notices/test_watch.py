"""The watcher of a run, with and without a supervisor: what it tells, and that it tells it once."""

import json
import os
from pathlib import Path

import pytest

from engine.home import Home
from engine.notices.kinds import Kind
from engine.notices.watch import Watch
from engine.recipe import make_recipe
from engine.runs.identity import boot_id, host, identity_of
from engine.runs.manager import RunManager
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json
from store import open_store
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import import_support, stand_in, wait_for

NOW = 1_790_000_000.0


class Told:
    """A run folder that is written by hand, with this process for its worker."""

    def __init__(self, folder: Path) -> None:
        self.dir = RunDir(folder)
        self.now = NOW
        self.dir.path.mkdir(parents=True)
        write_json(self.dir.inputs, {"id": "r1", "name": "emoji"})
        self.alive()
        self.writer = EventWriter(self.dir.events, 1, clock=lambda: self.now)
        self.writer.write("state", status="training")

    def alive(self, attempt: int = 1) -> None:
        own = identity_of(os.getpid())
        assert own is not None
        record = {"host": host(), "boot_id": boot_id(), "attempt": attempt, "backend": "local"}
        write_json(self.dir.process, record | {"supervisor": own.to_json(), "worker": own.to_json()})

    def train(self, first: int, last: int, loss: float = 2.0) -> None:
        for step in range(first, last + 1):
            self.now += 1
            values = {"train/loss": loss - step / 100, "train/learning_rate": 1e-4}
            self.writer.write("metrics", step=step, total_steps=100, eta_s=100.0 - step, values=values)

    def end(self, status: str, **fields: object) -> None:
        self.writer.write("end", status=status, **fields)
        ended = {"attempt": 1, "started": NOW, "ended": self.now, "code": 0 if status == "succeeded" else 1}
        write_json(self.dir.exit, ended | {"log_offset": 0})


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "runs" / "r1")


def test_the_end_is_told_once_with_what_it_came_to(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.train(1, 20)
    assert watch.look(told.now) == []
    told.writer.write("evaluation", step=20, values={"eval/loss": 1.25}, best=True)
    told.end("succeeded", best_step=20)
    (notice,) = watch.look(told.now)
    assert notice.kind is Kind.ENDED and notice.title == "emoji is done" and watch.over
    assert notice.body == "best eval loss 1.250 at step 20, took 19 s"


def test_a_failure_says_why_and_what_helps(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.train(1, 3)
    told.end("failed", reason="CUDA ran out of memory", code="cuda_out_of_memory", fix="Take a smaller batch.")
    (notice,) = watch.look(told.now)
    assert notice.kind is Kind.FAILED and notice.code == "cuda_out_of_memory"
    assert notice.body == "CUDA ran out of memory. Take a smaller batch."


def test_whoever_stops_a_run_is_not_told_of_it(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.end("stopped")
    assert watch.look(told.now) == [] and watch.over


def test_silence_is_told_once_and_again_after_a_recovery(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.train(1, 20)
    assert watch.look(told.now + 30) == []
    (notice,) = watch.look(told.now + 90)
    assert notice.kind is Kind.STALLED and "silent" in notice.title
    assert watch.look(told.now + 120) == []
    told.train(21, 21)
    assert watch.look(told.now) == []
    assert [one.kind for one in watch.look(told.now + 500)] == [Kind.STALLED]


def test_a_fault_in_the_figures_is_told_once(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.train(1, 20)
    told.writer.write("metrics", step=21, values={"train/loss": float("nan")})
    (notice,) = watch.look(told.now)
    assert notice.kind is Kind.FINDING and notice.level == "error" and "21" in notice.title
    told.writer.write("metrics", step=22, values={"train/loss": float("nan")})
    assert watch.look(told.now + 60) == []


def test_a_process_that_vanished_is_told(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.train(1, 3)
    write_json(told.dir.process, json.loads(told.dir.process.read_text()) | {"supervisor": None, "worker": None})
    (notice,) = watch.look(told.now + 3600)
    assert notice.kind is Kind.FAILED and notice.status == "lost"


def test_a_later_attempt_is_another_watchers(told: Told) -> None:
    watch = Watch(told.dir, 1)
    told.alive(attempt=2)
    assert watch.look(told.now) == [] and watch.over


def test_a_run_tells_by_itself_with_nobody_there(tmp_path: Path) -> None:
    """Launched for real, with a program for alerts; the process that launched it looks no more."""
    home = Home(tmp_path / "home").ensure()
    heard = tmp_path / "heard"
    (home.root / "settings.toml").write_text(f'[alerts]\ncommand = "cat >> {heard}"\n')
    store = open_store(home.db)
    make_starter(home)
    import_support(home, store)
    manager = RunManager(home, store, worker=stand_in("--steps", "2"))
    run = manager.launch(make_recipe({"dataset": "support"}), name="alone")
    told = json.loads(wait_for(lambda: heard.exists() and heard.read_text()))
    assert (told["kind"], told["run"], told["run_id"]) == ("ended", "alone", run.id)
    manager.close()
    store.close()
