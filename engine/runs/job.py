"""What the supervisor of a Slurm job does besides: attempts of one job are told apart, and a job goes on later."""

from pathlib import Path

from engine.runs.backends.slurm import requeue
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir, checkpoint_step, read_table

_TAIL_BYTES = 1 << 16


def keep_records(rundir: RunDir, attempt: int) -> None:
    """Put the records of the attempt before away as `process-K.json` and `exit-K.json`."""
    for record in (rundir.process, rundir.exit):
        earlier = read_table(record).get("attempt")
        if isinstance(earlier, int) and earlier < attempt:
            record.replace(_numbered(record, earlier))


def latest_step(rundir: RunDir) -> int:
    """The step of the last committed checkpoint, 0 without one."""
    committed = rundir.committed_checkpoints()
    return checkpoint_step(committed[-1]) if committed else 0


def go_on_later(rundir: RunDir, job: str, first_step: int) -> None:
    """Put the job back into Slurm's queue where the run has more to do and came further than `first_step`.

    An attempt that saved nothing would only do the same again.
    """
    if latest_step(rundir) > first_step and _waits(rundir):
        requeue(job)


def _waits(rundir: RunDir) -> bool:
    """Whether the run's last word is that it waits to go on."""
    size = rundir.events.stat().st_size
    last = read_events(rundir.events, max(0, size - _TAIL_BYTES)).events
    return bool(last) and last[-1]["kind"] == "state" and last[-1].get("status") == "queued"


def _numbered(record: Path, attempt: int) -> Path:
    return record.with_stem(f"{record.stem}-{attempt}")
