"""Whether a live run has fallen silent: it is not dead, but nothing of it is to be heard. It may recover by itself."""

import time
from pathlib import Path

from engine.runs.identity import boot_id, is_alive, read_process
from engine.runs.rundir import RunDir
from store.records import Run, Status

SILENT_S = 60.0
"""A worker that trains says something every few seconds. After this long without a word it is stalled."""

SILENT_STEPS = 10
"""And after so many of its steps, where those are long."""

_TALKING = frozenset({Status.TRAINING, Status.EVALUATING})
"""States in which a worker says something every few seconds; loading a large model, it may be quiet for long."""


def stalled_since(run: Run, rundir: RunDir, now: float | None = None) -> float | None:
    """Since when nothing is heard of a live run (unix seconds), or `None` while all is well.

    Its process is suspended, or it has been silent for a minute and for ten of its steps.
    """
    if not run.status.live or run.heartbeat is None:
        return None
    if suspended_pid(rundir) is not None:
        return run.heartbeat
    now = time.time() if now is None else now
    heard = max(run.heartbeat, _written(rundir.events))
    silent = run.status in _TALKING and now - heard > max(SILENT_S, SILENT_STEPS * step_s(run))
    return run.heartbeat if silent else None


def suspended_pid(rundir: RunDir) -> int | None:
    """The run's command on this machine, where it was stopped by a signal (SIGSTOP, Ctrl-Z) or by a debugger."""
    record = read_process(rundir.process)
    if record is None or record.worker is None or record.boot_id != boot_id() or not is_alive(record.worker):
        return None
    try:
        stat = Path(f"/proc/{record.worker.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return record.worker.pid if stat.rpartition(")")[2].split()[0] in "Tt" else None


def step_s(run: Run) -> float:
    """About how long a step of the run takes, in seconds; 0 before that is known."""
    if run.eta_s is not None and run.total_steps and run.total_steps > run.step:
        return run.eta_s / (run.total_steps - run.step)
    return 0.0


def _written(path: Path) -> float:
    """When the file was last written to, by the clock of who keeps it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
