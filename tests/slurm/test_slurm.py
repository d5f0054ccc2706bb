"""Runs through a real Slurm: submitted, stopped, taken away and gone on with."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from engine.errors import BadInput
from engine.home import Home
from engine.recipe import make_recipe
from engine.runs import backends
from engine.runs.backends import slurm as slurm_backend
from engine.runs.backends import slurm_jobs
from engine.runs.backends.slurm_jobs import look_at_one
from engine.runs.claim import claimed
from engine.runs.entry import new_run
from engine.runs.identity import host, kill_group, read_process
from engine.runs.manager import RunManager
from engine.runs.rundir import RunDir, checkpoint_step, read_json, write_json
from engine.runs.supervisor import WORKER
from store import Store, open_store
from store.records import Run, Status
from tests.engine.runs_at_work import ending, events, reached, stand_in, wait_for
from tests.worker.conftest import TinyModel
from tests.worker.runs import SHORT, make_run

TINY = {"devices": 2, "max_steps": 3, "eval_steps": 3, "rehearse": False, "assistant_only_loss": False}

pytestmark = pytest.mark.usefixtures("slurm")


class Cluster:
    """Runs of one home, as jobs."""

    def __init__(self, home: Home, store: Store) -> None:
        self.home = home
        self.store = store
        self.manager = RunManager(home, store, worker=stand_in())

    def submit(self, name: str, *options: str, **recipe: Any) -> RunDir:
        """A run with the stand-in as its worker, submitted as its first attempt."""
        rundir = self.make(name, **recipe)
        self.manager = RunManager(self.home, self.store, worker=stand_in(*options))
        assert start(rundir, stand_in(*options)) is None
        return rundir

    def make(self, name: str, given: Mapping[str, object] | None = None, **recipe: Any) -> RunDir:
        """A run's folder and its row; `given` goes over what `inputs.json` says otherwise."""
        rundir = RunDir(self.home.runs / name)
        rundir.path.mkdir()
        values = make_recipe({"dataset": "plain", "backend": "slurm", "slurm_time": "5"} | recipe)
        rundir.recipe.write_text(values.to_toml(), encoding="utf-8")
        inputs = {
            "id": name,
            "name": f"{name} of mine",
            "tags": [],
            "created": time.time(),
            "model": {"name": "tiny", "path": "/nowhere", "kind": "folder"},
            "dataset": {"id": "d", "name": "plain", "version": 1, "dir": "/nowhere"},
            "devices": ["cpu"],
            "leases": str(self.home.root / "leases"),
            "prepare": [],
            "backend": "slurm",
            "processes": 1,
            **(given or {}),
        }
        write_json(rundir.inputs, inputs)
        self.store.runs.add(new_run(rundir, inputs))
        return rundir

    def look(self, rundir: RunDir) -> Run:
        self.manager.refresh()
        found = self.store.runs.get(rundir.path.name)
        assert found is not None
        return found

    def until_phase(self, rundir: RunDir, phase: str) -> Run:
        wait_for(lambda: self.look(rundir).phase.startswith(phase))
        return self.look(rundir)

    def until(self, rundir: RunDir, status: Status, patience_s: float = 90.0) -> Run:
        """The run once it has ended, as `status`."""
        wait_for(lambda: not self.look(rundir).status.live, patience_s)
        found = self.look(rundir)
        assert found.status is status, f"{found.reason}\n{rundir.log.read_text()}"
        return found


@pytest.fixture
def cluster(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(slurm_jobs, "FRESH_S", 0.2)
    for kept in (slurm_jobs.WATCH.jobs, slurm_jobs.WATCH._asked):
        kept.clear()  # another cluster's jobs may have had the same numbers
    home.ensure()
    store = open_store(home.db)
    made = Cluster(home, store)
    yield made
    made.manager.close()
    store.close()
    subprocess.run(["scancel", "--signal=KILL", "--full", "--me"], check=False, capture_output=True)
    subprocess.run(["scancel", "--me"], check=False)
    wait_for(lambda: not subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout)


def start(rundir: RunDir, worker: Sequence[str]) -> object:
    with claimed(rundir.lock, "it is at work") as claim:
        return backends.start(rundir, 1, worker, claim)


def job_of(rundir: RunDir) -> str:
    record = read_process(rundir.process)
    assert record is not None
    return record.job


def state_of(rundir: RunDir) -> str:
    job = look_at_one(job_of(rundir))
    assert job is not None
    return job.state


def test_from_the_queue_to_the_end(cluster: Cluster) -> None:
    first = cluster.submit("r1", "--hold-at", "1", slurm_options=("--exclusive",))
    reached(first, 1)
    second = cluster.submit("r2", "--steps", "4", slurm_options=("--exclusive",))
    waiting = cluster.until_phase(second, "waiting in Slurm: Resources")
    assert waiting.status is Status.QUEUED
    assert job_of(second) in waiting.phase
    assert cluster.look(first).status is Status.TRAINING
    (first.path / "go").touch()
    run = cluster.until(second, Status.SUCCEEDED)
    assert (run.step, run.attempt, run.reason) == (4, 1, "")
    record = read_process(second.process)
    assert record is not None
    assert record.host == host(), "the node that it ran on"
    assert (read_json(second.process) or {})["backend"] == "slurm"
    assert not (cluster.home.root / "leases").exists(), "the devices are Slurm's to give"
    starts = [event["phase"] for event in events(second, "state") if "starting the worker" in event.get("phase", "")]
    assert starts == [f"starting the worker on {host()} (job {record.job})"]


def test_a_stop_saves_and_a_resume_is_a_new_job(cluster: Cluster) -> None:
    run = cluster.submit("r1", "--hold-at", "2")
    reached(run, 2)
    cluster.manager.stop("r1")
    stopped = cluster.until(run, Status.STOPPED)
    assert stopped.reason == "stopped at step 2"
    assert ending(run)["requested"] == "stop"
    first = job_of(run)
    wait_for(lambda: state_of(run) == "COMPLETED")
    (run.path / "go").touch()
    cluster.manager.resume("r1")
    again = cluster.until(run, Status.SUCCEEDED)
    assert (again.step, again.attempt) == (3, 2)
    assert job_of(run) != first
    assert (read_json(run.path / "process-1.json") or {})["job_id"] == first
    assert read_json(run.path / "exit-1.json")


def test_a_kill_is_at_once_and_a_job_that_waits_is_cancelled(cluster: Cluster) -> None:
    run = cluster.submit("r1", "--ignore-term", "--hold-at", "1", slurm_options=("--exclusive",))
    reached(run, 1)
    waits = cluster.submit("r2", slurm_options=("--exclusive",))
    wait_for(lambda: cluster.look(waits).phase)
    cluster.manager.stop("r2")
    assert cluster.until(waits, Status.STOPPED).reason == f"stopped while waiting in Slurm (job {job_of(waits)})"
    cluster.manager.stop("r1", now=True)
    assert cluster.until(run, Status.STOPPED).reason == "killed; 1 step kept"
    with pytest.raises(BadInput, match="ended already"):
        cluster.manager.stop("r1")


def test_a_job_that_is_cancelled_from_outside_says_so(cluster: Cluster) -> None:
    run = cluster.submit("r1", "--hold-at", "2")
    reached(run, 2)
    subprocess.run(["scancel", job_of(run)], check=True)
    stopped = cluster.until(run, Status.STOPPED)
    assert stopped.reason == f"cancelled in Slurm (job {job_of(run)}); 2 steps kept"


def test_jobs_that_slurm_takes_away_go_on_from_their_checkpoints(cluster: Cluster) -> None:
    preempted = cluster.submit("r1", "--steps", "4", "--hold-at", "2")
    warned = cluster.submit("r2", "--steps", "4", "--hold-at", "2")
    for run in (preempted, warned):
        reached(run, 2)
    subprocess.run(["scontrol", "requeue", job_of(preempted)], check=True)
    # What --signal=B:TERM@120 does near the time limit.
    subprocess.run(["scancel", "--batch", "--signal=TERM", job_of(warned)], check=True)
    (preempted.path / "go").touch()
    (warned.path / "go").touch()
    waited: set[str] = set()

    def both_waited() -> bool:
        for run in (preempted, warned):
            found = cluster.look(run)
            if found.phase.startswith("waiting in Slurm"):
                assert found.status is Status.QUEUED
                waited.add(found.id)
        return len(waited) == 2

    wait_for(both_waited)
    for run in (preempted, warned):
        done = cluster.until(run, Status.SUCCEEDED)
        assert (done.step, done.attempt) == (4, 2)
        attempts = cluster.store.runs.attempts(run.path.name)
        assert [(one.number, one.from_step) for one in attempts] == [(1, 0), (2, 2)]
        assert (attempts[0].status, attempts[0].reason) == (Status.STOPPED, "put back into the queue")
        assert (read_json(run.path / "exit-1.json") or {})["requested"] == "slurm"
        assert not [event for event in events(run, "end") if event["attempt"] == 1], "it had not ended"


def test_a_job_that_saved_nothing_does_not_queue_again(cluster: Cluster) -> None:
    run = cluster.submit("r1", "--no-checkpoints", "--hold-at", "1")
    wait_for(lambda: events(run, "metrics"))
    subprocess.run(["scancel", "--batch", "--signal=TERM", job_of(run)], check=True)
    failed = cluster.until(run, Status.FAILED)
    assert failed.reason == f"Slurm's time limit came near (job {job_of(run)}); no step was saved"
    assert failed.failure == "time_limit"


def test_a_supervisor_that_dies_in_its_job_is_told_by_slurm(cluster: Cluster) -> None:
    run = cluster.submit("r1", "--hold-at", "1", slurm_options=("--no-requeue",))
    reached(run, 1)
    record = read_process(run.process)
    assert record is not None
    assert record.supervisor is not None and record.worker is not None
    os.kill(record.supervisor.pid, signal.SIGKILL)
    failed = cluster.until(run, Status.FAILED)
    kill_group(record.worker)  # Slurm may leave it, depending on how it follows processes
    assert f"its job {record.job} ended without an exit record" in failed.reason


@pytest.mark.long  # two processes without Slurm are in tests/worker/test_distributed.py
@pytest.mark.train
def test_a_real_training_over_two_processes(cluster: Cluster, tiny_model: TinyModel) -> None:
    folder = cluster.home.root / "made"
    made = make_run(folder, tiny_model.base, **TINY)
    inputs = read_json(made.inputs) or {}
    given = {"model": inputs["model"], "dataset": inputs["dataset"], "processes": 2}
    run = cluster.make("r1", given, **SHORT | TINY)
    assert start(run, WORKER) is None
    done = cluster.until(run, Status.SUCCEEDED, patience_s=120)
    assert (done.step, done.total_steps) == (3, 3)
    assert events(run, "plan")[0]["processes"] == 2
    assert (run.adapter / "adapter_model.safetensors").exists()
    assert [event["step"] for event in events(run, "metrics")] == [1, 2, 3]


def test_what_slurm_refuses_is_told_in_its_words(cluster: Cluster) -> None:
    for name, recipe, words, fix in (
        ("r1", {"slurm_partition": "gold"}, "invalid partition", "low, high"),
        ("r2", {"slurm_options": ("--constraint=h100",)}, "invalid feature", "job.sbatch"),
        ("r3", {"slurm_time": "5-0"}, "time limit", "sinfo"),
        ("r4", {"nodes": 9}, "more processors", "sinfo"),
    ):
        rundir = cluster.make(name, **recipe)
        with pytest.raises(BadInput, match="did not take") as refused:
            start(rundir, stand_in())
        assert words in refused.value.why.lower()
        assert fix in refused.value.fix
        assert not rundir.process.exists()


def test_partitions_are_listed(cluster: Cluster) -> None:
    assert slurm_backend.partitions() == [("low", "1:00:00", 1, ""), ("high", "1:00:00", 1, "")]


def test_the_record_of_a_job_that_began_at_once_is_its_own(cluster: Cluster) -> None:
    run = cluster.submit("r1", "--hold-at", "1")
    before = read_json(run.process)
    assert before is not None
    slurm_backend._write_first(run.process, {"host": "", "job_id": "other"})
    after = read_json(run.process)
    assert after is not None
    assert after["job_id"] == before["job_id"]
    assert [folder for folder in run.path.iterdir() if folder.name.endswith(".first")] == []
    reached(run, 1)
    assert checkpoint_step(run.committed_checkpoints()[-1]) == 1
