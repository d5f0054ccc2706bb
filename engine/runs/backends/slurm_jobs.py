"""What Slurm says of jobs: one look at all of the user's jobs for all runs, kept some seconds. Standard library only.

Nobody waits for Slurm but at the first look: a controller that hangs must not hold up the runs of this machine.
"""

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
"""States of jobs that wait to be started."""

LIVE = WAITING | {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
"""States of jobs that may still do something."""

FRESH_S = 3.0
"""So long an answer of Slurm's stands."""

FIRST_LOOK_S = 2.0
"""So long the first one to ask is kept waiting."""

COMMAND_S = 20.0
"""After this, Slurm counts as not answering."""

_SQUEUE = ("squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%B|%e|%r")
_SACCT = ("sacct", "--allocations", "--noheader", "--parsable2", "--format=JobID,State,NodeList,End,Reason")


@dataclass(frozen=True)
class Job:
    """One job as Slurm sees it. `state` is Slurm's word, or empty for a job that it has forgotten."""

    id: str
    state: str
    reason: str = ""
    """Why it waits, in Slurm's word: `Resources`, `Priority`."""
    node: str = ""
    """The first of its nodes, where the supervisor runs."""
    ended: float = 0.0
    """When it ended, unix seconds; 0 where it has not, or Slurm does not say."""
    looked: float = 0.0
    """When Slurm was asked, unix seconds."""

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def waits(self) -> bool:
        return self.state in WAITING


@dataclass
class JobWatch:
    """Jobs by their ids, asked for anew in a thread whenever the last answer is old."""

    jobs: dict[str, Job] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _looked: float = -1e9
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, job_id: str) -> Job | None:
        """What is known of a job; `None` where Slurm has not answered yet."""
        with self._lock:
            new = job_id not in self._asked
            self._asked.add(job_id)
            if self._thread is None and (new or time.monotonic() - self._looked > FRESH_S):
                self._thread = threading.Thread(target=self._look, name="slurm-jobs", daemon=True)
                self._thread.start()
            thread = self._thread
        if thread is not None and new:
            thread.join(FIRST_LOOK_S)
        return self.jobs.get(job_id)

    def forget(self, job_id: str) -> None:
        """Ask anew at the next `find`: something was done to the job."""
        with self._lock:
            self._asked.discard(job_id)
            self.jobs.pop(job_id, None)

    def _look(self) -> None:
        try:
            found = look(sorted(self._asked))
            self.jobs.update(found)
        finally:
            with self._lock:
                self._looked = time.monotonic()
                self._thread = None


WATCH = JobWatch()


def look(job_ids: Sequence[str]) -> dict[str, Job]:
    """Ask Slurm for these jobs: its queue, then its books for what the queue has forgotten.

    Jobs that neither knows have an empty state. Where Slurm does not answer, nothing is said of the job.
    """
    now = time.time()
    queue = run_slurm(_SQUEUE)
    if queue is None:
        return {}
    found = {job.id: job for job in _from_squeue(queue)}
    missing = [job_id for job_id in job_ids if job_id not in found]
    if missing:
        books = run_slurm([*_SACCT, f"--jobs={','.join(missing)}"])
        if books is not None:
            found |= {job.id: job for job in _from_sacct(books)}
        for job_id in missing:
            if job_id not in found:
                job = look_at_one(job_id)
                if job is not None:
                    found[job_id] = job
    return {job_id: replace(found[job_id], looked=now) for job_id in job_ids if job_id in found}


def look_at_one(job_id: str) -> Job | None:
    """One job, as the controller knows it now: the way where there are no books. `None`: Slurm does not answer."""
    try:
        done = subprocess.run(
            ["scontrol", "show", "job", "--oneliner", job_id],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return Job(job_id, "", looked=time.time()) if "Invalid job id" in done.stderr else None
    values = dict(part.partition("=")[::2] for part in done.stdout.split())
    return Job(
        job_id,
        values.get("JobState", ""),
        _word(values.get("Reason", "")),
        _word(values.get("BatchHost", "")),
        _when(values.get("EndTime", "")),
        time.time(),
    )


def run_slurm(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str | None:
    """What a command of Slurm prints; `None` where it fails, hangs or is not there."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=environment and {**environment}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _from_squeue(text: str) -> Iterator[Job]:
    for line in text.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) == 5:
            job_id, state, node, end, reason = fields
            ended = 0.0 if state in LIVE else _when(end)
            yield Job(job_id, state, _word(reason), _word(node), ended)


def _from_sacct(text: str) -> Iterator[Job]:
    for line in text.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) == 5:
            job_id, state, nodes, end, reason = fields
            # "CANCELLED by 1000"; a requeued job has a line for each of its starts, the last one last
            yield Job(job_id, state.split()[0] if state else "", _word(reason), _word(nodes), _when(end))


def _word(text: str) -> str:
    """Slurm's words for nothing are nothing."""
    return "" if text.strip() in ("None", "n/a", "(null)", "N/A", "Unknown", "None assigned") else text.strip()


def _when(text: str) -> float:
    """Slurm's local time as unix seconds; 0 where it says none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
