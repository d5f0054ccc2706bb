"""How suite runs stand: at work, done, stopped or failed, and how far."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.home import Home
from engine.runs.driver_folder import Stage, words_of
from engine.suites.folder import SuiteDir
from store import Store
from store.suites import SuiteCount
from store.talk_records import SuiteRun


@dataclass(frozen=True)
class SuiteState:
    """One suite run as it stands now. Counts are turns of all models."""

    run: SuiteRun
    stage: Stage
    done: int
    total: int
    errors: int
    doing: str = ""
    eta_s: float | None = None
    problem: str = ""
    """Why it failed."""

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def answered(self) -> int:
        return self.done - self.errors


def states_of(store: Store, home: Home, runs: Sequence[SuiteRun]) -> list[SuiteState]:
    """How these stand, in their order. Reads files and the store."""
    at_work = {run.id for run in runs if run.ended is None and SuiteDir.of(home, run.id).busy()}
    # What follows is read after that: of a run that nobody is at work on, nothing can change any more.
    known = [run if run.ended is not None or run.id in at_work else store.suites.get(run.id) or run for run in runs]
    counts = store.suites.counts([run.id for run in known])
    return [_state(home, run, counts[run.id], busy=run.id in at_work) for run in known]


def _state(home: Home, run: SuiteRun, count: SuiteCount, *, busy: bool) -> SuiteState:
    folder, done, errors = SuiteDir.of(home, run.id), count.answers, count.errors
    told, ending = folder.read(folder.doing), folder.read(folder.exit)
    total = int(told.get("total") or 0) or run.prompts * len(run.models)
    if run.ended is not None:
        return SuiteState(run, Stage.DONE, done, done, errors)
    if busy:
        return SuiteState(run, Stage.RUNNING, done, total, errors, str(told.get("doing") or ""), told.get("eta_s"))
    error = ending.get("error")
    if isinstance(error, dict):
        return SuiteState(run, Stage.FAILED, done, total, errors, problem=words_of(error))
    return SuiteState(run, Stage.STOPPED, done, total, errors)


def stop_suite_run(home: Home, suite_run: str) -> bool:
    """Ask the process at work to end, which it does at once; whether there is one."""
    folder = SuiteDir.of(home, suite_run)
    if folder.path.is_dir():
        folder.stop.touch()
    return folder.busy()


def remove_suite_run(store: Store, home: Home, run: SuiteRun) -> None:
    """Forget a suite run and its answers. Raises `BadInput` while it is being asked."""
    import shutil

    folder = SuiteDir.of(home, run.id)
    if folder.path.is_dir():
        folder.require_idle()
    store.suites.delete(run.id)
    shutil.rmtree(folder.path, ignore_errors=True)
