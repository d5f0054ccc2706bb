"""What the state of a Slurm job means for the attempt that it was."""

from pathlib import Path

from engine.runs.backends.slurm_jobs import Job
from engine.runs.failure_codes import FailureCode
from engine.runs.recognise import last_words
from store.records import Status

LAG_S = 10.0
"""So long what a node has written may not be seen yet by others: network file systems keep what they know."""

_ENDS = {
    "CANCELLED": (Status.STOPPED, "cancelled in Slurm", None),
    "TIMEOUT": (Status.FAILED, "Slurm's time limit ended it", FailureCode.TIME_LIMIT),
    "DEADLINE": (Status.FAILED, "Slurm's deadline ended it", FailureCode.TIME_LIMIT),
    "PREEMPTED": (Status.FAILED, "Slurm gave its node to another job", FailureCode.PREEMPTED),
    "REVOKED": (Status.STOPPED, "Slurm gave the job to another cluster", None),
    "NODE_FAIL": (Status.FAILED, "its node failed", FailureCode.NODE_FAILED),
    "BOOT_FAIL": (Status.FAILED, "its node could not be started", FailureCode.NODE_FAILED),
    "OUT_OF_MEMORY": (Status.FAILED, "killed by Slurm: out of memory", FailureCode.HOST_OUT_OF_MEMORY),
}


def verdict_of(job: Job, log: Path, kept: str, *, told: bool) -> tuple[Status, str, FailureCode | None]:
    """The end of an attempt that says nothing of its own end.

    `told`: Slurm had told it that its time was up, and it ended by itself. `kept` says what was saved of it.
    """
    if job.state in _ENDS:
        status, words, code = _ENDS[job.state]
        return status, f"{words} (job {job.id}); {kept}", code
    if told:
        return Status.FAILED, f"Slurm's time limit came near (job {job.id}); {kept}", FailureCode.TIME_LIMIT
    if not job.state:
        return Status.LOST, f"Slurm no longer knows its job {job.id}; {kept}", FailureCode.VANISHED
    said = last_words(log)
    reason = f"its job {job.id} ended without an exit record"
    return Status.FAILED, f"{reason}: {said.line}" if said.line else reason, said.code or FailureCode.CANNOT_START
