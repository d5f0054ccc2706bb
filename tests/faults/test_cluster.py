"""Row 26 on a cluster: a node is lost with a run on it. A real Slurm of one node, where one can be started.

What Slurm says of a lost node is read without one in `engine/test_slurm_script.py`.
"""

import os
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from engine.insight.failures import Action, failure_of
from engine.runs.identity import read_process
from engine.runs.rundir import RunDir
from store.records import Status
from tests.conftest import home
from tests.engine.runs_at_work import kill, reached
from tests.slurm.conftest import slurm
from tests.slurm.test_slurm import Cluster, cluster

__all__ = ["cluster", "home", "slurm"]

pytestmark = pytest.mark.usefixtures("slurm")


def lose_node(slurm: Path, *runs: RunDir) -> None:
    """The node loses its power: its daemon, the daemon of each job, supervisors and workers are gone without a word.

    The controller takes five minutes to believe it; here it is told.
    """
    kill(int((slurm / "slurmd.pid").read_text()))
    for run in runs:
        record = read_process(run.process)
        assert record is not None and record.supervisor is not None and record.worker is not None
        step = psutil.Process(record.supervisor.pid).parent()
        while step is not None and step.name() != "slurmstepd":
            step = step.parent()
        assert step is not None
        for pid in (step.pid, record.supervisor.pid, record.worker.pid):
            kill(pid)
    node = socket.gethostname().partition(".")[0]
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=DOWN", "reason=lost"], check=True)


def test_row_26_a_run_whose_node_is_lost_goes_on_or_can_be_resumed(cluster: Cluster, slurm: Path) -> None:
    again = cluster.submit("r1", "--steps", "4", "--hold-at", "2")
    ends = cluster.submit("r2", "--steps", "4", "--hold-at", "2", slurm_options=("--no-requeue",))
    for run in (again, ends):
        reached(run, 2)
    lose_node(slurm, again, ends)
    for run in (again, ends):
        (run.path / "go").touch()
    failed = cluster.until(ends, Status.FAILED)
    failure = failure_of(cluster.store, failed)
    assert failure is not None
    assert (failed.failure, failure.action) == ("node_failed", Action.RESUME)
    assert cluster.look(again).status is Status.QUEUED
    subprocess.run(["slurmd"], check=True, env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin"})
    cluster.manager.resume("r2")
    for run in (again, ends):
        done = cluster.until(run, Status.SUCCEEDED)
        assert (done.step, done.attempt) == (4, 2)
        attempts = cluster.store.runs.attempts(run.path.name)
        assert [(one.number, one.from_step) for one in attempts] == [(1, 0), (2, 2)]
        series = cluster.store.metrics.series(run.path.name, "train/loss")
        assert series is not None and series.steps == [1, 2, 3, 4]
