"""The process behind a sweep: chooses trials, launches them as runs, watches them, records how it ended.

`python -m engine.sweeps.driver SWEEP_DIR --claim FD [--worker PROGRAM ARGUMENT…]`

It has a session of its own and outlives the app. Its trials are runs like any other, which outlive it: a driver that
was killed is started again (`finetui sweeps resume`), finds the runs it had launched and goes on. The file `stop` in
the sweep's folder, or SIGTERM, asks it to stop its trials and end.
"""

import argparse
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.claim import accept
from engine.runs.follow import patiently
from engine.runs.identity import boot_id, host, identity_of, read_process
from engine.runs.ingest import ingest_run
from engine.runs.manager import RunManager
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, read_table, write_json
from engine.runs.supervisor import WORKER
from engine.sweeps.folder import Ending, SweepDir, TrialState
from engine.sweeps.study import Evaluation, Study
from store import Store, StoreError, open_store
from store.records import Run, Status, SweepStatus

POLL_S = 0.5
"""Time between two looks at runs of which there is nothing new."""

SHORTEST_POLL_S = 0.05

SIGN_OF_LIFE_S = 30.0
"""Time between two touches of `process.json`, by which other machines see that the driver is alive."""

STORE_PATIENCE_S = 120.0
"""How long a store that cannot be read or written is put up with: a full disk, a lock."""


Found = TypeVar("Found")


@dataclass
class _Open:
    """A trial without an outcome."""

    run_id: str
    pruned: str = ""
    """Why it was asked to stop, once it was."""
    stopping: bool = False
    """Asked to stop with the sweep."""


class Driver:
    """One sweep, from its start or where it was left, to its end."""

    def __init__(self, folder: SweepDir, worker: Sequence[str]) -> None:
        self._folder = folder
        self._home = Home(folder.path.parent.parent)
        self._spec = folder.read_spec()
        self._store: Store = open_store(self._home.db)
        self._manager = RunManager(self._home, self._store, worker=worker)
        self._study = Study(folder, self._spec)
        self._open: dict[int, _Open] = {}
        self._failures: list[str] = []
        self._told_to_stop = False
        self._news = False
        self._touched = time.monotonic()
        signal.signal(signal.SIGTERM, self._stop)

    @property
    def id(self) -> str:
        return self._folder.path.name

    def run(self) -> Ending:
        """Drive the sweep until it is done, is told to stop, or cannot go on."""
        try:
            self._patiently(self._adopt)
            while True:
                ending = self._patiently(self._step)
                if ending is not None:
                    return ending
                time.sleep(SHORTEST_POLL_S if self._news else POLL_S)
                self._show_life()
        finally:
            self._manager.close()
            self._store.close()

    def _patiently(self, work: Callable[[], Found]) -> Found:
        """What `work` returns; while the store is in the way, it is tried again."""
        return patiently(
            work, lambda error: _say(f"the store is in the way, trying again: {error}"), STORE_PATIENCE_S, POLL_S
        )

    def _adopt(self) -> None:
        """Take up trials that have no outcome: their runs where there are some, else new ones."""
        self._manager.refresh()  # a run that went down with the last driver may still be live to the store
        launched = self._launched()
        refused: list[BadInput] = []
        for trial in self._study.open_trials():
            run_id = trial.run_id or launched.get(trial.number, "")
            if not run_id:
                continue  # launched when its turn comes
            if not trial.run_id:
                self._study.set_run(trial.number, run_id)
            self._open[trial.number] = _Open(run_id, pruned=trial.reason)
            run = self._store.runs.get(run_id)
            if run is not None and run.status in (Status.STOPPED, Status.LOST) and not trial.reason:
                _say(f"trial {trial.number + 1}: {run.name} was {run.status}; it is resumed")
                try:
                    self._manager.resume(run_id)
                except BadInput as error:
                    now = self._store.runs.get(run_id)
                    if now is None or now.status.live or now.attempt > run.attempt:
                        _say(str(error))  # somebody else was faster
                    elif not RunDir(self._home.runs / run_id).inputs.exists():
                        self._fail(trial.number, error.what)
                    else:
                        refused.append(error)
        self._report()
        if refused:  # the others are taken up; these can be, another time
            raise refused[0]

    def _launched(self) -> dict[int, str]:
        """Runs of this sweep by the number of their trial, as their own folders say it: launched, maybe not noted."""
        found = {}
        for run_id in self._store.sweeps.run_ids(self.id):
            about = read_table(RunDir(self._home.runs / run_id).inputs).get("sweep")
            if isinstance(about, dict) and about.get("id") == self.id and type(about.get("trial")) is int:
                found[about["trial"]] = run_id
        return found

    def _step(self) -> Ending | None:
        """One look at everything. Returns how the sweep ended, once it has."""
        self._manager.refresh()
        changed = [self._follow(number, trial) for number, trial in list(self._open.items())]
        ending = self._verdict()
        if ending is None and not self._stop_wanted() and not self._has_failed():
            changed.append(self._launch_more())
        self._news = any(changed)
        if self._news:
            self._report()
        return ending

    def _verdict(self) -> Ending | None:
        if self._has_failed() or self._stop_wanted():
            self._stop_all()
            if self._open:
                return None
            if self._has_failed():
                last = self._failures[-1]
                reason = f"{len(self._failures)} trials in a row failed, the last one: {last}"
                return Ending(SweepStatus.FAILED, reason)
            return Ending(SweepStatus.STOPPED, f"{self._study.asked} of {self._spec.total} trials begun")
        if self._open or self._study.asked < self._spec.total:
            return None
        if not any(trial.state is TrialState.COMPLETE for trial in self._study.trials()):
            return Ending(SweepStatus.FAILED, f"no trial came to its end; the last: {(self._failures or ['–'])[-1]}")
        return Ending(SweepStatus.SUCCEEDED)

    # trials

    def _launch_more(self) -> bool:
        """Launch what there is room for, one a look."""
        if len(self._open) >= self._spec.concurrency:
            return False
        left = [trial.number for trial in self._study.open_trials() if trial.number not in self._open]
        if not left and self._study.asked >= self._spec.total:
            return False
        number = left[0] if left else self._study.ask()
        twin = self._study.twin(number)
        if twin is None or twin.value is None:
            self._launch(number)
        else:  # few values are left to choose from: the same seed would train the same again
            self._study.set_run(number, twin.run_id)
            self._study.set_reason(number, f"the same as trial {twin.number + 1}")
            self._study.complete(number, twin.value, twin.step or 0)
            _say(f"trial {number + 1}: the same as trial {twin.number + 1}")
        return True

    def _launch(self, number: int) -> None:
        params = self._study.params(number)
        name = f"{self._spec.name}-{number + 1:02d}"
        words = ", ".join(f"{field} = {value}" for field, value in params.items())
        try:
            recipe = self._spec.recipe_of(params)
            about = {"id": self.id, "trial": number}
            run = self._manager.launch(recipe, name=name, tags=[self._spec.name], sweep=about)
        except FinetuiError as error:
            self._fail(number, str(error).replace("\n", " "))
            return
        self._study.set_run(number, run.id)
        self._open[number] = _Open(run.id)
        _say(f"trial {number + 1}: {words}; run {run.name} ({run.id})")

    def _follow(self, number: int, trial: _Open) -> bool:
        """Take in what a trial's run has come to. Returns whether anything is new."""
        run = self._store.runs.get(trial.run_id)
        if run is None:
            return self._fail(number, "its run was removed")
        evaluations = self._evaluations(run)
        news = self._study.report(number, evaluations)
        if run.status.live:
            if news and not trial.pruned and not trial.stopping and self._study.should_prune(number):
                self._prune(number, trial, run, evaluations)
            return news
        if trial.pruned and self._at_work(run.id):
            return news  # its log has another writer still
        if trial.stopping and not trial.pruned and run.status is Status.STOPPED:
            self._open.pop(number)  # it has no outcome yet, and is resumed with the sweep
            return True
        return self._conclude(number, trial, run, evaluations)

    def _conclude(self, number: int, trial: _Open, run: Run, evaluations: list[Evaluation]) -> bool:
        best = self._best(evaluations)
        if run.status is Status.SUCCEEDED and best is None:
            return self._fail(number, f"it has no {self._spec.metric}: has the dataset validation rows?")
        if run.status is Status.SUCCEEDED and best is not None:
            self._study.complete(number, best[1], best[0])
            self._failures.clear()
            _say(f"trial {number + 1}: {self._spec.metric} {best[1]:.6g} at step {best[0]}")
        elif run.status is Status.STOPPED and best is not None:
            reason = trial.pruned or f"stopped by hand at step {run.step}"
            self._study.prune(number, reason, best)
            if trial.pruned:
                self._record_reason(run, reason)
            _say(f"trial {number + 1}: {reason}")
        else:
            return self._fail(number, f"{run.status}: {run.reason}", counts=run.status is not Status.STOPPED)
        self._open.pop(number)
        return True

    def _fail(self, number: int, reason: str, *, counts: bool = True) -> bool:
        self._study.fail(number, reason)
        self._open.pop(number, None)
        if counts:
            self._failures.append(reason)
        _say(f"trial {number + 1} failed: {reason}")
        return True

    def _prune(self, number: int, trial: _Open, run: Run, evaluations: list[Evaluation]) -> None:
        step, value = evaluations[-1]
        worse = "worse than the median" if self._spec.pruner == "median" else "not in the best third of its bracket"
        trial.pruned = f"pruned at step {step}: {self._spec.metric} {value:.4g} is {worse}"
        self._study.set_reason(number, trial.pruned)
        self._ask_to_stop(run.id)

    def _ask_to_stop(self, run_id: str) -> None:
        try:
            self._manager.stop(run_id)
        except FinetuiError as error:  # it has ended meanwhile, or cannot be reached: the next look says how it stands
            _say(str(error))

    def _stop_all(self) -> None:
        for trial in self._open.values():
            if not trial.stopping:
                trial.stopping = True
                self._ask_to_stop(trial.run_id)

    def _record_reason(self, run: Run, reason: str) -> None:
        """Say in the run's own log why it was stopped. Its processes have ended: the log has no other writer."""
        rundir = RunDir(self._home.runs / run.id)
        writer = EventWriter(rundir.events, run.attempt)
        try:
            writer.write("end", status=str(Status.STOPPED), reason=reason)
        finally:
            writer.close()
        ingest_run(self._store, run.id, rundir)

    def _at_work(self, run_id: str) -> bool:
        record = read_process(RunDir(self._home.runs / run_id).process)
        return record is not None and bool(record.alive())

    # figures

    def _evaluations(self, run: Run) -> list[Evaluation]:
        """Steps and values of the metric. Step 0 is the untouched base model: it says nothing of the trial."""
        series = self._store.metrics.series(run.id, self._spec.metric, first_step=1)
        return [] if series is None else list(zip(series.steps, series.values, strict=True))

    def _best(self, evaluations: list[Evaluation]) -> Evaluation | None:
        finite = [one for one in evaluations if math.isfinite(one[1])]
        pick = min if self._spec.direction == "minimize" else max
        return pick(finite, key=lambda one: one[1]) if finite else None

    def _has_failed(self) -> bool:
        return len(self._failures) >= self._spec.max_failures

    def _show_life(self) -> None:
        if time.monotonic() - self._touched > SIGN_OF_LIFE_S:
            self._touched = time.monotonic()
            self._folder.process.touch()

    def _report(self) -> None:
        self._folder.write_trials(self._study.trials())

    # stopping

    def _stop_wanted(self) -> bool:
        return self._told_to_stop or self._folder.stop.exists()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True


def main(arguments: Sequence[str] | None = None) -> int:
    """0 once the exit record is written."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claim", type=int, required=True, help="the claim on the sweep, as an open file descriptor")
    parser.add_argument("--worker", nargs=argparse.REMAINDER, default=list(WORKER))
    options = parser.parse_args(arguments)
    folder = SweepDir(options.folder)
    accept(options.claim)  # its runs go on without it
    me = identity_of(os.getpid())
    write_json(
        folder.process,
        {
            "host": host(),
            "boot_id": boot_id(),
            "attempt": 1,
            "supervisor": me.to_json() if me else None,
            "worker": None,
        },
    )
    try:
        ending = Driver(folder, options.worker).run()
    except Exception as error:
        traceback.print_exc()
        ending = Ending(SweepStatus.FAILED, f"its driver failed: {type(error).__name__}: {error}")
    record_ending(folder, ending)
    return 0


def record_ending(folder: SweepDir, ending: Ending) -> None:
    """Write the exit record, and tell the store where that can be told."""
    ended = Ending(ending.status, ending.reason, time.time())
    write_json(folder.exit, asdict(ended))
    _say(f"{ended.status}" + (f": {ended.reason}" if ended.reason else ""))
    try:
        store = open_store(Home(folder.path.parent.parent).db)
        store.sweeps.set_status(folder.path.name, SweepStatus(ended.status), ended.reason, ended.ended)
        store.close()
    except StoreError as error:  # who looks at the sweep next reads the exit record
        _say(str(error))


def _say(text: str) -> None:
    """A line in the sweep's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
