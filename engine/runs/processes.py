"""The command that trains: one process, or one for each device, on one machine or several. Standard library only."""

import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from engine.runs.rundir import RunDir

TAKEN_AWAY = "slurm"
"""Who asked for a stop when it was no person: the cluster, which is about to take the run's devices away."""

LAUNCHER = "engine.worker.launch"
"""`torch.distributed.run`, for runs."""


def process_count(inputs: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> int:
    """Processes that train, on all machines: `processes` of `inputs.json` on each node of the job."""
    return max(1, int(inputs.get("processes") or 1)) * _nodes(inputs, environment)


def worker_command(
    worker: Sequence[str], inputs: Mapping[str, Any], folder: str, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """`worker`, with the run's folder as its last argument; where several processes train, through their launcher.

    On one machine the launcher is the command. In a job of several nodes `srun` starts one on each, and they meet at
    the first, where the supervisor runs.
    """
    nodes = _nodes(inputs, environment)
    if process_count(inputs, environment) == 1:
        return [*worker, folder]
    each = [f"--nproc-per-node={max(1, int(inputs.get('processes') or 1))}"]
    program = list(worker[1:]) if worker[0] == "python" else ["--no-python", *worker]
    if nodes == 1:
        return ["python", "-m", LAUNCHER, "--standalone", *each, *program, folder]
    job = environment["SLURM_JOB_ID"]
    first = environment.get("SLURMD_NODENAME") or os.uname().nodename
    meeting = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-id={job}", f"--rdzv-endpoint={first}:{_port(job)}"]
    start = ["srun", f"--nodes={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    return [*start, sys.executable, "-m", LAUNCHER, *meeting, *each, *program, folder]


def is_taken_away(run: RunDir, inputs: Mapping[str, Any]) -> bool:
    """Whether a stop was not a person's wish: the run then says that it waits, not that it has ended.

    In a job a person's stop comes by the file alone; a bare SIGTERM there is Slurm's.
    """
    if inputs.get("backend") != "slurm":
        return False
    try:
        return run.stop.read_text(encoding="ascii") == TAKEN_AWAY
    except OSError:
        return True


def _nodes(inputs: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    """Machines of the run: those that Slurm has given the job."""
    if inputs.get("backend") != "slurm":
        return 1
    return max(1, int(environment.get("SLURM_JOB_NUM_NODES") or 1))


def _port(job: str) -> int:
    """Where the nodes meet: another port for each job, outside those that systems give away by themselves."""
    return 20_000 + zlib.crc32(job.encode()) % 10_000
