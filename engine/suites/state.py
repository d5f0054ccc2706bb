"""How suite runs stand: at work, done, stopped or failed, and how far."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.home import Home
from engine.runs.driver_folder import Stage, words_of
from engine.suites.folder import SuiteDir
from store import Store
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
    counts = store.suites.counts([run.id for run in runs])
    return [_state(home, run, counts[run.id].answers, counts[run.id].errors) for run in runs]


def _state(home: Home, run: SuiteRun, done: int, errors: int) -> SuiteState:
    folder = SuiteDir.of(home, run.id)
    told, ending = folder.read(folder.doing), folder.read(folder.exit)
    total = int(told.get("total") or 0) or run.prompts * len(run.models)
    if run.ended is not None:
        return SuiteState(run, Stage.DONE, done, done, errors)
    if folder.busy():
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
