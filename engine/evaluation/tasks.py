"""Tasks of lm-eval as a part of an evaluation: each model is given all of them, one model after the other."""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import FinetuiError
from engine.evaluation.folder import EvaluationDir
from engine.evaluation.worker_process import WorkerProcess, how_it_ended, last_words
from engine.inference.panes import Pane
from store.evaluation_records import Evaluation, Measured


def tasks_left(folder: EvaluationDir, evaluation: Evaluation) -> list[int]:
    """The places of the models that have not been given the tasks yet."""
    if not evaluation.settings.get("tasks"):
        return []
    return [place for place in range(len(evaluation.models)) if not _has_results(_output(folder, place))]


def measure_tasks(process: WorkerProcess, evaluation: Evaluation, panes: Sequence[Pane]) -> bool:
    """Give the models their tasks; `False` where somebody stopped it before. Raises `FinetuiError`."""
    from engine.evaluation import lm_eval

    folder, settings = process.folder, evaluation.settings
    for place in tasks_left(folder, evaluation):
        pane = panes[place]
        folder.say(f"tasks of lm-eval, model {place + 1} of {len(panes)}: {pane.label}")
        model = lm_eval.LmEvalModel(pane.model, pane.adapter, pane.revision, pane.quantised, pane.trust_remote_code)
        code = process.run(
            lm_eval.command(
                model,
                settings["tasks"],
                _output(folder, place),
                limit=settings.get("task_rows"),
                seed=int(settings.get("seed") or 0),
            )
        )
        if process.stop():
            return False
        if code or not _has_results(_output(folder, place)):
            raise FinetuiError(
                f"lm-eval could not give {pane.label} its tasks.",
                why=f"{how_it_ended(code).capitalize()}. {last_words(folder.log)}",
                fix=f"Its log is {folder.log}. Go on with `finetui eval --resume {evaluation.id}`.",
            )
    return True


def task_figures(folder: EvaluationDir, evaluation: Evaluation) -> list[Measured]:
    """What the tasks came to, model by model; none where none were asked for."""
    if not evaluation.settings.get("tasks"):
        return []
    from engine.evaluation.lm_eval import read_results

    return [
        figure
        for place in range(len(evaluation.models))
        for figure in read_results(_output(folder, place), evaluation=evaluation.id, model=place)
    ]


def _output(folder: EvaluationDir, place: int) -> Path:
    return folder.path / "tasks" / str(place)


def _has_results(output: Path) -> bool:
    return any(output.rglob("results*.json"))
