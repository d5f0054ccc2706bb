"""Where runs go: this machine, or a cluster. One face, whichever the run's `inputs.json` names.

Standard library only: the supervisor uses the part of it that a job needs.
"""

import subprocess
from collections.abc import Sequence

from engine.runs.backends import local, slurm
from engine.runs.rundir import RunDir, read_table

Process = subprocess.Popen[bytes]

SLURM = "slurm"


def start(rundir: RunDir, attempt: int, worker: Sequence[str], claim: int) -> Process | None:
    """Start an attempt of a run; it goes on whatever becomes of this process. Returns a child to poll, if it has one.

    `claim` is the run's; a process of this machine is handed it. Raises `BadInput` with the backend's own words where
    it does not take the run, and `OSError`.
    """
    if read_table(rundir.inputs).get("backend") == SLURM:
        slurm.submit(rundir, attempt, worker)
        return None
    return local.start_supervisor(rundir, attempt, worker, claim)
