"""How an attempt ended, from what its processes left behind, in words for people."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.runs.backends.slurm_end import LAG_S, verdict_of
from engine.runs.backends.slurm_jobs import WATCH
from engine.runs.claim import is_taken
from engine.runs.failure_codes import FailureCode
from engine.runs.fields import finite, text
from engine.runs.identity import ProcessRecord, boot_id, host, read_process
from engine.runs.processes import TAKEN_AWAY
from engine.runs.recognise import CAUSES, code_of_signal, last_words
from engine.runs.rundir import RunDir, checkpoint_step, read_table
from store.records import LAST_STEP, Status

SILENCE_S = 600.0
"""After this long without a sign of life, a run on another machine counts as lost."""


@dataclass(frozen=True)
class Verdict:
    """The state in which an attempt ended, why, and when (unix seconds)."""

    status: Status
    reason: str
    ended: float
    failure: FailureCode | None = None
    """Which of the closed list it was; `None` where it ended as it was asked to."""
    attempt: int = 0
    """Which attempt it was; 0 where nothing tells."""


def judge(rundir: RunDir, now: float | None = None) -> Verdict | None:
    """How the current attempt ended, or `None` while a process may be at work on it.

    For a run whose worker wrote no `end` event: that event, where there is one, is the last word on the attempt.
    """
    now = time.time() if now is None else now
    record = read_process(rundir.process)
    if record is not None and record.job:
        return _judge_job(rundir, record, now)
    at_work = _may_be_at_work(rundir, record, now)
    ending = read_table(rundir.exit)  # after they were looked for: of dead ones, nothing can change it
    if ending:
        return _told(rundir, ending, now)
    if at_work or read_process(rundir.process) != record:  # another attempt began meanwhile
        return None
    if record is None:
        reason, code = "its process never started", FailureCode.NEVER_STARTED
    elif record.host != host():
        reason = f"nothing has been heard of it on {record.host} for {SILENCE_S / 60:.0f} minutes"
        code = FailureCode.OUT_OF_REACH
    elif record.boot_id != boot_id():
        reason, code = "the process is gone (machine restarted)", FailureCode.RESTARTED
    else:
        reason, code = "the process is gone without an exit record", FailureCode.VANISHED
    return Verdict(Status.LOST, reason, _last_sign(rundir) or now, code, record.attempt if record else 0)


def waits_in_cluster(rundir: RunDir) -> str:
    """Why a run that a cluster has queued is not at work, for people; empty where it is, or there is none."""
    record = read_process(rundir.process)
    job = WATCH.find(record.job) if record is not None and record.job else None
    if record is None or job is None or job.looked < _last_sign(rundir):
        return ""
    if job.waits:
        return f"waiting in Slurm{f': {job.reason}' if job.reason else ''} (job {job.id})"
    return f"starting on {job.node} (Slurm job {job.id})" if job.state == "RUNNING" and not record.host else ""


def was_waiting(rundir: RunDir) -> bool:
    """Whether the machine was restarted before the run had a device: nothing is lost, and it waits on."""
    record = read_process(rundir.process)
    return (
        record is not None
        and not record.job
        and record.worker is None
        and record.host == host()
        and record.boot_id != boot_id()
        and not rundir.exit.exists()
    )


def _judge_job(rundir: RunDir, record: ProcessRecord, now: float) -> Verdict | None:
    """The same for a run that is a job of Slurm: its own word counts, then Slurm's."""
    verdict = _own_word(rundir, record, now)
    if verdict is not None:
        return verdict
    job = WATCH.find(record.job)
    if job is None or job.live:
        return None
    elsewhere = record.host != host()
    if elsewhere and now - max(job.ended, _last_sign(rundir)) < LAG_S:
        return None  # its last lines and its exit record may not be seen here yet
    if read_process(rundir.process) != record:
        return None  # it was queued again and began anew while Slurm was asked
    verdict = _own_word(rundir, record, now)  # it may have ended while Slurm was asked: nothing can change it now
    if verdict is not None:
        return verdict
    told = read_table(rundir.exit).get("attempt") == record.attempt
    status, reason, code = verdict_of(job, rundir.log, _kept(rundir), told=told)
    return Verdict(status, reason, job.ended or _last_sign(rundir) or now, code, record.attempt)


def _own_word(rundir: RunDir, record: ProcessRecord, now: float) -> Verdict | None:
    """How an attempt under Slurm says itself that it ended; `None` where it does not, or waits to go on."""
    ending = read_table(rundir.exit)
    if ending.get("attempt") != record.attempt or ending.get("requested") == TAKEN_AWAY:
        return None
    return _told(rundir, ending, now)


def _told(rundir: RunDir, ending: dict[str, Any], now: float) -> Verdict:
    """What an exit record says."""
    status, reason, code = _ended(rundir, ending)
    attempt = ending.get("attempt")
    return Verdict(status, reason, finite(ending.get("ended")) or now, code, attempt if isinstance(attempt, int) else 0)


def _may_be_at_work(rundir: RunDir, record: ProcessRecord | None, now: float) -> bool:
    """Whether a process may be: each has the claim, so that one that no record names yet is not missed."""
    if record is not None and record.alive():
        return True
    if record is None or record.host == host():
        return is_taken(rundir.lock)
    return now - _last_sign(rundir) < SILENCE_S


def _last_sign(rundir: RunDir) -> float:
    """When a process of the run last wrote something, unix seconds; 0 where none did."""
    times = [0.0]
    for path in (rundir.process, rundir.events, rundir.log):
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def _ended(rundir: RunDir, ending: dict[str, Any]) -> tuple[Status, str, FailureCode | None]:
    requested, phase, number, code = (ending.get(key) for key in ("requested", "phase", "signal", "code"))
    phase = text(phase) if isinstance(phase, str) else None
    number = number if isinstance(number, int) else None
    if requested == "kill":
        return Status.STOPPED, f"killed; {_kept(rundir)}", None
    if requested == "stop" and (phase or (not code and number in (None, signal.SIGTERM))):
        return Status.STOPPED, f"stopped while {phase}" if phase else f"stopped; {_kept(rundir)}", None
    if ending.get("oom_killed"):
        return Status.FAILED, _in(phase, "killed by the system: out of memory"), FailureCode.HOST_OUT_OF_MEMORY
    words = last_words(rundir.log, offset_of(ending))
    if number is not None:
        reason = f"killed by signal {number}{_signal_name(number)}"
        if words.code in CAUSES:  # who kills may have said why: a cluster its limit, a library what it lacked
            return Status.FAILED, _in(phase, f"{reason}: {words.line}"), words.code
        return Status.FAILED, _in(phase, reason), code_of_signal(number)
    if code:
        reason = words.line or f"ended with exit code {code}"
        return Status.FAILED, _in(phase, reason), words.code or FailureCode.UNKNOWN
    return Status.FAILED, "the worker ended without saying how", FailureCode.SILENT


def offset_of(ending: Mapping[str, Any]) -> int:
    """Where the attempt's lines begin in the log, in bytes, as its exit record says; 0 where it says nothing."""
    offset = ending.get("log_offset")
    return offset if isinstance(offset, int) and 0 <= offset <= LAST_STEP else 0


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
