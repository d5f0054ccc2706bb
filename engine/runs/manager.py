"""The runs of one home: launch, stop, resume, remove, and keep the store up to date with what their processes do."""

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.insight.stalled import stalled_since
from engine.recipe import Recipe
from engine.runs.backends import Process, slurm
from engine.runs.backends.local import start_supervisor
from engine.runs.claim import claimed, is_taken
from engine.runs.entry import new_run
from engine.runs.fields import text
from engine.runs.identity import Identity, ProcessRecord, host, kill_group, read_process, send_signal
from engine.runs.ingest import ingest_run
from engine.runs.launcher import last_attempt, launch_run, start_again
from engine.runs.leases import try_lock
from engine.runs.processes import process_count
from engine.runs.queue import RunQueue
from engine.runs.reconcile import judge, waits_in_cluster, was_waiting
from engine.runs.rundir import RunDir, read_table, write_json
from engine.runs.supervisor import WORKER, Ending
from store import Store, StoreError
from store.records import Run, Status

if TYPE_CHECKING:
    from engine.insight.diagnosis import FindingKeeper

SETTLE_S = 10.0
"""Time the processes of a run are given to be gone, or to say that they are there."""

RECENT = 50
"""So many of the newest runs are watched for what others change in the store."""

_log = logging.getLogger(__name__)


class RunManager:
    """What can be done to runs. Every method may be called from any thread.

    `worker` is the command that trains; it gets the run's folder as its last argument.
    """

    def __init__(self, home: Home, store: Store, *, worker: Sequence[str] = WORKER) -> None:
        self.queue = RunQueue(home, store)
        self._home = home
        self._store = store
        self._findings: FindingKeeper | None = None
        self._worker = tuple(worker)
        self._refreshing = threading.Lock()
        self._ingest_lock: int | None = None
        self._children: dict[str, Process] = {}
        self._complained: set[str] = set()
        self._left_waiting: dict[str, int] = {}
        """Runs, with their attempts, that waited when the machine was restarted and have no supervisor yet."""
        self._queued_again: set[str] = set()
        self._seen_logs: dict[str, tuple[int, int] | None] = {}
        self._seen_runs: dict[str, Run] = {}
        self._seen_version = -1

    # what a person asks for

    def launch(
        self,
        recipe: Recipe,
        *,
        name: str | None = None,
        tags: Sequence[str] = (),
        priority: int = 0,
        sweep: Mapping[str, Any] | None = None,
        force: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Run:
        """Start a run; it goes on whatever becomes of this process. A name that is taken gets `-2`, `-3`…

        `sweep` says of which sweep it is which trial: `{"id": …, "trial": number}`; `force` launches a run that does
        not fit. `progress` hears in words what takes long. Raises `BadInput` with all that stands in the way.
        """
        self._home.ensure()
        run, process = launch_run(
            self._home,
            self._store,
            recipe,
            name=name,
            tags=tags,
            worker=self._worker,
            priority=priority,
            sweep=sweep,
            force=force,
            progress=progress,
        )
        if process is not None:
            self._children[run.id] = process
        return run

    def stop(self, run_id: str, *, now: bool = False) -> None:
        """Ask a run to save a checkpoint and end as `stopped`; with `now`, kill it. Returns before it has ended.

        Raises `BadInput` for a run that has ended.
        """
        run = self._get(run_id)
        if not run.status.live:
            raise BadInput(f"{run.name} has ended already: it is {run.status}.")
        record = self._wait_for_record(run)
        if record is not None and record.job:
            slurm.stop(self._dir(run_id), record.job, record.attempt, now=now)
            return
        alive = record.alive() if record else []
        if record is None or (not alive and record.host == host()):
            if is_taken(self._dir(run_id).lock):
                raise FinetuiError(
                    f"{run.name} cannot be stopped: its processes are gone, but one that they left behind goes on.",
                    fix=f"`fuser -v {self._dir(run_id).lock}` names it; end that process.",
                )
            return  # it is over: the next refresh says how
        if not alive:
            raise BadInput(f"{run.name} cannot be reached: it runs on {record.host}.", fix="Stop it there.")
        try:
            self._signal(run, record, alive[0], now=now)
        except PermissionError as error:
            raise FinetuiError(
                f"{run.name} cannot be stopped: its process belongs to another user.", fix="Ask them to stop it."
            ) from error

    def resume(self, run_id: str) -> None:
        """Start the next attempt of a run that was stopped, failed or was lost, from its last committed checkpoint.

        Without one it starts again from step 0, and says so. Raises `BadInput` for a run in another state.
        """
        before = last_attempt(self._dir(run_id))  # then how it stands, so that nobody resumes it unnoticed in between
        run = self._get(run_id)
        if run.source:
            raise BadInput(
                f"{run.name} cannot be resumed: it was imported ({run.source}).",
                why="Its history is here; its weights and its optimiser's state are not.",
                fix="Launch a new run with its settings.",
            )
        if run.status.live or run.status is Status.SUCCEEDED:
            raise BadInput(
                f"{run.name} cannot be resumed: it is {run.status}.",
                fix="Only a run that was stopped, failed or was lost can be resumed.",
            )
        rundir = self._dir(run_id)
        if not rundir.inputs.exists():
            raise BadInput(f"{run.name} cannot be resumed: its folder {rundir.path} is gone.")
        self._wait_until_settled(run)
        with self._refreshing:
            taken_in = partial(ingest_run, self._store, run_id, rundir)
            ends = self._store.runs.events(run_id, ["end"], limit=1)
            told = next((end.body for end in ends if end.attempt == run.attempt), None)
            attempt = max(before, run.attempt) + 1
            process = start_again(self._home, run, attempt, self._worker, taken_in, told)
            if process is not None:
                self._children[run_id] = process

    def remove(self, run_id: str) -> None:
        """Delete a run: its folder and all that the store knows of it. Raises `BadInput` for a live run."""
        run = self._get(run_id)
        if run.status.live:
            raise BadInput(f"{run.name} is {run.status}.", fix="Stop it first, then remove it.")
        self._wait_until_settled(run)
        path = self._dir(run_id).path
        doomed = path.with_name(f".removed-{path.name}")
        try:
            if path.is_symlink():
                path.rename(doomed)
            elif path.exists():
                with claimed(self._dir(run_id).lock, f"{run.name} was resumed a moment ago."):
                    path.rename(doomed)
        except OSError as error:
            raise FinetuiError(
                f"The folder of {run.name} cannot be deleted.", why=f"The system says: {error.strerror or error}."
            ) from error
        self._store.runs.delete(run_id)
        if doomed.is_symlink():  # a run that lives elsewhere: what the link leads to is not ours to delete
            doomed.unlink()
        shutil.rmtree(doomed, ignore_errors=True)
        self.queue.forget(run_id)

    # keeping up

    def refresh(self) -> set[str]:
        """Take in new events and ended processes of live runs. Returns the ids of runs that changed since last time.

        The first call returns all that it watches. Cheap when nothing changed. One process at a time takes events in;
        in the others the ids are those of runs whose rows changed.
        """
        with self._refreshing:
            self._reap()
            if self._may_ingest():
                self._take_in()
                self._queue_again()
            return self._news()

    def look(self) -> set[str]:
        """`refresh`, and let other processes take events in again: for whoever looks once, or now and then."""
        try:
            return self.refresh()
        finally:
            self.close()

    def rebuild(self) -> int:
        """Make the store's view of every run anew from its folder. Returns how many runs there are.

        Raises `BadInput` while another finetui is at work on the same home.
        """
        with self._refreshing:
            if not self._may_ingest():
                raise BadInput(
                    "The store cannot be rebuilt now: another finetui is at work on this home.",
                    fix="Close the app and wait for other commands to end, then try again.",
                )
            count = sum(self._rebuild_run(RunDir(path)) for path in self._home.run_folders)
            self._queue_again()
            return count

    def close(self) -> None:
        """Let another process take events in. Runs go on."""
        with self._refreshing:
            if self._ingest_lock is not None:
                os.close(self._ingest_lock)
                self._ingest_lock = None

    def _take_in(self) -> None:
        live = self._store.runs.live()
        failed: dict[str, Exception] = {}
        for run in live:
            rundir = self._dir(run.id)
            log = _stamp(rundir.events)
            try:
                if log != self._seen_logs.get(run.id):
                    ingest_run(self._store, run.id, rundir)
                    self._seen_logs[run.id] = log
                    self._diagnose(run.id)
                elif (since := stalled_since(run, rundir)) != run.stalled:
                    self._store.runs.set_stalled(run.id, since)
                self._settle(run.id, rundir)
            except Exception as error:  # whatever is wrong with one run must not hold up the others
                failed[run.id] = error
        stuck = next((error for error in failed.values() if isinstance(error, StoreError)), None)
        if stuck is not None:
            raise stuck  # the store itself cannot be written: whoever looks is to know
        if live and len(failed) == len(live):
            raise failed[live[0].id]
        for run_id in failed.keys() - self._complained:
            _log.warning("the run %s cannot be followed", run_id, exc_info=failed[run_id])
        self._complained |= failed.keys()

    def _settle(self, run_id: str, rundir: RunDir) -> None:
        """Put the end of a run into the store once its processes are done."""
        child = self._children.get(run_id)
        if child is not None and child.poll() is None and not rundir.exit.exists():
            return
        verdict = judge(rundir)
        if verdict is None:
            if phase := waits_in_cluster(rundir):
                self._store.runs.set_waiting(run_id, phase)
            return
        ingest_run(self._store, run_id, rundir)  # nobody writes any more: what is in the log now is all of it
        run = self._store.runs.get(run_id)
        if run is None or not run.status.live or run.attempt > verdict.attempt > 0:
            return  # or the next attempt began while this one was judged
        if run.status is Status.QUEUED and run_id not in self._queued_again and was_waiting(rundir):
            self._queued_again.add(run_id)  # once: what cannot be started now is lost
            self._left_waiting[run_id] = run.attempt
        else:
            self._store.runs.finish(run_id, verdict.status, verdict.reason, verdict.ended, verdict.failure or "")
            self._diagnose(run_id)

    def _diagnose(self, run_id: str) -> None:
        """Keep what the run's figures show up to date. Costs little, and never raises."""
        if self._findings is None:
            from engine.insight.diagnosis import FindingKeeper  # an app that opens on no live run does without

            self._findings = FindingKeeper(self._store)
        self._findings.look(run_id)

    def _queue_again(self) -> None:
        """Start supervisors for the runs that lost theirs while they waited: one after the other, to keep the order."""
        for run_id in self.queue.in_order(self._left_waiting):
            try:
                with claimed(self._dir(run_id).lock, f"{run_id} is at work") as claim:
                    child = start_supervisor(self._dir(run_id), self._left_waiting[run_id], self._worker, claim)
            except (OSError, FinetuiError):
                _log.warning("the run %s cannot be queued again", run_id, exc_info=True)
                continue
            self._children[run_id] = child
            give_up = time.monotonic() + SETTLE_S
            while child.poll() is None and not self.queue.has_come(run_id) and time.monotonic() < give_up:
                time.sleep(0.02)
        self._left_waiting.clear()

    def _news(self) -> set[str]:
        """Ids of runs whose rows are others than at the last call, whoever wrote them."""
        version = self._store.data_version()
        if version == self._seen_version:
            return set()
        self._seen_version = version
        runs = {run.id: run for run in (*self._store.runs.list(limit=RECENT), *self._store.runs.live())}
        before, self._seen_runs = self._seen_runs, runs
        changed = {run_id for run_id, run in runs.items() if before.get(run_id) != run}
        # no longer among the newest or the live: ended, deleted, or pushed out by newer ones
        return changed | {gone for gone in before.keys() - runs.keys() if self._store.runs.get(gone) != before[gone]}

    def _may_ingest(self) -> bool:
        if self._ingest_lock is None:
            try:
                self._ingest_lock = try_lock(self._home.ingest_lock)
            except OSError:  # a home that can only be read
                return False
        return self._ingest_lock is not None

    def _reap(self) -> None:
        for run_id, child in list(self._children.items()):
            if child.poll() is not None:
                self._children.pop(run_id, None)

    def _rebuild_run(self, rundir: RunDir) -> int:
        inputs = read_table(rundir.inputs)
        if not inputs:
            return 0
        try:
            new = new_run(rundir, inputs)
        except (OSError, ValueError) as error:
            _log.warning("%s is left out: %s", rundir.path, error)
            return 0
        if self._store.runs.get(new.id) is None:
            self._store.runs.add(new)
            if note := inputs.get("notes"):  # of an imported run: nobody has written another yet
                self._store.runs.set_note(new.id, text(note))
        self._store.runs.reset(new.id)
        try:
            ingest_run(self._store, new.id, rundir)
            self._settle(new.id, rundir)
        except OSError as error:  # a folder in the place of its event log, for one
            reason = f"its folder cannot be read: {error.strerror or error}"
            self._store.runs.finish(new.id, Status.LOST, reason, time.time(), "")
        self._diagnose(new.id)
        return 1

    # processes

    def _signal(self, run: Run, record: ProcessRecord, process: Identity, *, now: bool) -> None:
        if process == record.supervisor:
            send_signal(process, signal.SIGQUIT if now else signal.SIGTERM)
        # Else the supervisor was killed and its worker goes on: we stand in for it.
        elif not now:
            if process_count(read_table(self._dir(run.id).inputs)) > 1:
                self._dir(run.id).stop.touch()  # a signal would reach its processes at different steps
            else:
                send_signal(process, signal.SIGTERM)
                send_signal(process, signal.SIGCONT)
        else:
            ending = Ending(attempt=record.attempt, started=run.started or run.created, log_offset=0)
            told = asdict(ending) | {"signal": int(signal.SIGKILL), "requested": "kill", "ended": time.time()}
            with suppress(OSError):  # a disk that is full
                write_json(self._dir(run.id).exit, told)  # first: whoever finds it gone is to find why
            try:
                kill_group(process)
            except PermissionError:
                self._dir(run.id).exit.unlink(missing_ok=True)
                raise

    def _wait_for_record(self, run: Run) -> ProcessRecord | None:
        """The record of a run's processes; one that was launched a moment ago is given time to write it.

        Raises `FinetuiError` while there is none.
        """
        rundir = self._dir(run.id)
        give_up = time.monotonic() + SETTLE_S
        while True:
            record = read_process(rundir.process)
            if record is not None or judge(rundir) is not None:
                return record
            if time.monotonic() > give_up:
                raise FinetuiError(
                    f"{run.name} cannot be stopped yet: its process is still being started.",
                    fix="Try again in a moment.",
                )
            time.sleep(0.05)

    def _wait_until_settled(self, run: Run) -> None:
        """Wait for the processes of a run that has ended to be gone. Raises `BadInput` when they do not go."""
        path = self._dir(run.id).process
        give_up = time.monotonic() + SETTLE_S
        while (record := read_process(path)) is not None and record.alive():
            if time.monotonic() > give_up:
                raise BadInput(
                    f"A process of {run.name} is still at work (pid {record.alive()[0].pid}).",
                    fix="Wait for it to end, then try again.",
                )
            time.sleep(0.05)

    def _get(self, run_id: str) -> Run:
        run = self._store.runs.get(run_id)
        if run is None:
            raise BadInput(f"There is no run {run_id!r}.")
        return run

    def _dir(self, run_id: str) -> RunDir:
        return RunDir(self._home.runs / run_id)


def _stamp(path: Path) -> tuple[int, int] | None:
    """By this a file that was written to is told from one that was not."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
