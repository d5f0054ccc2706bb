"""How evaluations stand: at work, done, stopped or failed, and how far; and what is done with them as a whole."""

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.evaluation.folder import EvaluationDir, reason_of
from engine.home import Home
from engine.runs.driver_folder import Stage
from engine.runs.identity import read_process, send_signal
from engine.runs.rundir import read_json
from store import Store
from store.evaluation_records import Evaluation


@dataclass(frozen=True)
class EvaluationState:
    """One evaluation as it stands now. `done` and `total` count rows of all models."""

    evaluation: Evaluation
    stage: Stage
    done: int
    total: int
    doing: str = ""
    eta_s: float | None = None
    problem: str = ""
    """Why it failed."""

    @property
    def id(self) -> str:
        return self.evaluation.id


def states_of(home: Home, evaluations: Sequence[Evaluation]) -> list[EvaluationState]:
    """How these stand, in their order. Reads small files."""
    return [state_of(home, evaluation) for evaluation in evaluations]


def state_of(home: Home, evaluation: Evaluation) -> EvaluationState:
    folder = EvaluationDir.of(home, evaluation.id)
    busy = folder.busy()  # before anything is read: where nobody is at work, nothing of it can change any more
    total = evaluation.rows * len(evaluation.models)
    told, doing, ending = folder.read(folder.progress), folder.read(folder.doing), folder.read(folder.exit)
    done = min(total, int(told.get("done") or 0))
    if folder.figures.exists() or (evaluation.ended is not None and not evaluation.reason):
        return EvaluationState(evaluation, Stage.DONE, total, total)
    if busy:
        at_work = doing.get("measuring") is True and told
        words = str(told.get("doing") or "") if at_work else str(doing.get("doing") or "")
        model = str(told.get("model") or "") if at_work else ""
        left = _left(told, int(doing.get("from") or 0)) if at_work else None
        return EvaluationState(evaluation, Stage.RUNNING, done, total, f"{words}: {model}" if model else words, left)
    error = ending.get("error")
    if isinstance(error, dict):
        return EvaluationState(evaluation, Stage.FAILED, done, total, problem=reason_of(error))
    return EvaluationState(evaluation, Stage.STOPPED, done, total)


def _left(told: dict[str, Any], before: int) -> float | None:
    """Seconds until all rows are measured, by how fast the worker has been since it began."""
    done, total = int(told.get("done") or 0), int(told.get("total") or 0)
    took = float(told.get("t") or 0) - float(told.get("began") or 0)
    return took / (done - before) * (total - done) if done > before and took > 0 else None


def stop_evaluation(home: Home, evaluation: str) -> bool:
    """Ask who is at work to end, which happens within a batch; whether somebody is."""
    folder = EvaluationDir.of(home, evaluation)
    if folder.path.is_dir():
        folder.stop.touch()
    record = read_process(folder.process)
    if record is not None and record.worker is not None:
        alive = record.alive()
        if record.worker in alive and record.supervisor not in alive:  # the driver was killed, and cannot pass it on
            send_signal(record.worker, signal.SIGTERM)
    return folder.busy()


def remove_evaluation(store: Store, home: Home, evaluation: Evaluation) -> None:
    """Forget an evaluation, its answers and its figures. Raises `BadInput` while somebody is at work on it."""
    folder = EvaluationDir.of(home, evaluation.id)
    if folder.path.is_dir():
        folder.require_idle()
    store.evaluations.delete(evaluation.id)
    shutil.rmtree(folder.path, ignore_errors=True)


def rebuild(store: Store, home: Home) -> int:
    """Put every evaluation's folder into the store anew. Returns how many there are."""
    count = 0
    for path in sorted(home.evaluations.glob("*/")):
        folder = EvaluationDir(path)
        evaluation = folder.record() if isinstance(read_json(folder.about), dict) else None
        if evaluation is None or evaluation.id != path.name:
            continue
        if folder.busy() and store.evaluations.get(evaluation.id) is not None:
            continue  # it is being made, and its driver writes what there is
        with store.transaction():
            store.evaluations.delete(evaluation.id)
            store.evaluations.add(evaluation)
            store.evaluations.set_figures(evaluation.id, folder.measured())
        count += 1
    return count
