"""How an attempt ended, from what its processes left behind, in words for people."""

import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.runs.identity import ProcessRecord, boot_id, host, read_process
from engine.runs.rundir import RunDir, checkpoint_step, read_json
from store.records import Status

GRACE_S = 10.0
"""Time a supervisor is given to say that it is there."""

SILENCE_S = 600.0
"""After this long without a sign of life, a run on another machine counts as lost."""

LONGEST_REASON = 300

_TAIL_BYTES = 1 << 16
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Verdict:
    """The state in which an attempt ended, why, and when (unix seconds)."""

    status: Status
    reason: str
    ended: float


def judge(rundir: RunDir, now: float | None = None) -> Verdict | None:
    """How the current attempt ended, or `None` while a process may be at work on it.

    For a run whose worker wrote no `end` event: that event, where there is one, is the last word on the attempt.
    """
    now = time.time() if now is None else now
    record = read_process(rundir.process)
    if not rundir.exit.exists() and _may_be_at_work(rundir, record, now):
        return None
    ending = read_json(rundir.exit)  # read after the processes were found dead: nothing can change it now
    if isinstance(ending, dict):
        status, reason = _ended(rundir, ending)
        return Verdict(status, reason, float(ending.get("ended") or now))
    if record is None:
        reason = "its process never started"
    elif record.host != host():
        reason = f"nothing has been heard of it on {record.host} for {SILENCE_S / 60:.0f} minutes"
    elif record.boot_id != boot_id():
        reason = "the process is gone (machine restarted)"
    else:
        reason = "the process is gone without an exit record"
    return Verdict(Status.LOST, reason, _last_sign(rundir) or now)


def last_words(log: Path, offset: int = 0) -> str:
    """What the log says went wrong: the last traceback's exception, else its last line.

    Without control characters, at most 300 characters. `offset`: where in the file to begin, in bytes.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(offset, file.seek(0, 2) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [_clean(line) for line in re.split(r"[\r\n]+", text)]
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if starts:
        after = lines[starts[-1] + 1 :]
        said = next((line for line in after if line and not line[0].isspace()), "")
        if said:
            return said[:LONGEST_REASON]
    return next((line.strip()[:LONGEST_REASON] for line in reversed(lines) if line.strip()), "")


def _may_be_at_work(rundir: RunDir, record: ProcessRecord | None, now: float) -> bool:
    if record is None:
        return now - _last_sign(rundir) < GRACE_S
    if record.alive():
        return True
    return record.host != host() and now - _last_sign(rundir) < SILENCE_S


def _last_sign(rundir: RunDir) -> float:
    """When a process of the run last wrote something, unix seconds; 0 where none did."""
    times = [0.0]
    for path in (rundir.process, rundir.events, rundir.log):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def _ended(rundir: RunDir, ending: dict[str, Any]) -> tuple[Status, str]:
    requested, phase, number, code = (ending.get(key) for key in ("requested", "phase", "signal", "code"))
    if requested == "kill":
        return Status.STOPPED, f"killed; {_kept(rundir)}"
    if requested == "stop" and (phase or (not code and number in (None, signal.SIGTERM))):
        return Status.STOPPED, f"stopped while {phase}" if phase else f"stopped; {_kept(rundir)}"
    if ending.get("oom_killed"):
        return Status.FAILED, _in(phase, "killed by the system: out of memory")
    if number is not None:
        return Status.FAILED, _in(phase, f"killed by signal {number}{_signal_name(number)}")
    if code:
        words = last_words(rundir.log, int(ending.get("log_offset") or 0))
        return Status.FAILED, _in(phase, words or f"ended with exit code {code}")
    return Status.FAILED, "the worker ended without saying how"


def _in(phase: str | None, reason: str) -> str:
    return f"{phase}: {reason}" if phase else reason


def _kept(rundir: RunDir) -> str:
    checkpoints = rundir.committed_checkpoints()
    if not checkpoints:
        return "no step was saved"
    steps = checkpoint_step(checkpoints[-1])
    return f"{steps} step{'' if steps == 1 else 's'} kept"


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _clean(line: str) -> str:
    """The line without terminal escapes and control characters."""
    return _ESCAPE.sub("", line)
