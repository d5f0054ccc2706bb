"""Evaluations: made, measured, gone on with."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace

from engine.errors import BadInput, FinetuiError, NotFound
from engine.evaluation.answered import Answered
from engine.evaluation.folder import EvaluationDir, reason_of
from engine.evaluation.measures import MEASURES, known, measure, names_of
from engine.evaluation.reading import Chosen
from engine.evaluation.safety import word_lists
from engine.evaluation.subjects import labels, require_models, seated, worker_models
from engine.evaluation.tasks import measure_tasks, task_figures, tasks_left
from engine.evaluation.token_counter import TokenCounter, token_counter
from engine.evaluation.worker_process import (
    WORKER,
    WorkerProcess,
    measure_rows,
    record_processes,
    wait_for_device,
)
from engine.home import Home
from engine.inference.panes import Pane
from engine.models import resolve_model
from engine.runs.launcher import clean_name, new_run_id
from engine.suites.seating import BASE
from engine.tokens.prepare import kept_tokenizer, model_tokenizer
from engine.tokens.tokenizer import Tokenizer
from store import Store
from store.evaluation_records import Evaluation, Measured

BATCH_ROWS = 16
_PROBE_TOKENS = 32


@dataclass(frozen=True)
class Options:
    """How rows are answered and what is measured. Greedy, unless a temperature is given."""

    max_new_tokens: int | None = None
    """Longest answer; without one 256, of probes 32."""
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    """Of the rows that are drawn, of the sampling, and of the intervals."""
    batch_rows: int = BATCH_ROWS
    max_length: int | None = None
    """Tokens at which a row is cut; else what the model holds."""
    measures: tuple[str, ...] = ()
    """Names of `MEASURES`; without any, those of the kind."""
    tasks: tuple[str, ...] = ()
    """Tasks of lm-eval that each model is given besides."""
    task_rows: int | None = None
    """At most so many rows of each task."""


def new_evaluation(
    home: Home,
    store: Store,
    chosen: Chosen,
    models: Sequence[str],
    options: Options,
    *,
    name: str = "",
) -> Evaluation:
    """An evaluation of which nothing is measured: its folder, and its row in the store.

    `models` are as the store keeps them, the first is what the others are compared with. A name that is taken gets
    `-2`, `-3`… Raises `BadInput` and `NotFound` for what cannot be measured.
    """
    require_models(models)
    measures = known(options.measures) or names_of(chosen.kind)
    if options.tasks:
        from engine.evaluation.lm_eval import check

        check(options.tasks)
    panes = seated(store, home, models)
    needs = {MEASURES[measure].needs for measure in measures}
    probing = chosen.kind == "retention"
    settings = asdict(options) | {
        "max_new_tokens": options.max_new_tokens or (_PROBE_TOKENS if probing else 256),
        "measures": list(measures),
        "tasks": list(options.tasks),
        "data_name": chosen.name,
        "notes": list(chosen.notes),
        "generate": probing or bool(needs & {"expected", "text"}),
        "score": probing or bool(needs & {"scores", "choices"}),
    }
    evaluation = Evaluation(
        f"e{new_run_id()[1:]}",
        time.time(),
        _free_name(store, clean_name(name) if name.strip() else _default_name(chosen)),
        chosen.kind,
        chosen.data,
        chosen.split,
        tuple(models),
        settings,
        len(chosen.rows),
    )
    folder = EvaluationDir.of(home, evaluation.id)
    try:
        folder.write(evaluation, _spec(evaluation, panes, labels(store, models)), chosen.rows)
    except OSError as error:
        raise BadInput(
            f"The evaluation's folder cannot be made in {home.evaluations}.",
            why=f"The system says: {error.strerror or error}.",
            fix="Free or unlock that folder, or choose another home with --home DIR or $FINETUI_HOME.",
        ) from error
    store.evaluations.add(evaluation)
    return evaluation


def _default_name(chosen: Chosen) -> str:
    words = [chosen.name.partition(" ")[0], chosen.split or ("retention" if chosen.kind == "retention" else "")]
    return clean_name("-".join(word for word in words if word))


def _free_name(store: Store, wanted: str) -> str:
    taken = {one.name for one in store.evaluations.list(10_000)}
    candidate, number = wanted, 1
    while candidate in taken:
        number += 1
        candidate = f"{wanted}-{number}"
    return candidate


def _spec(evaluation: Evaluation, panes: Sequence[Pane], names: Sequence[str]) -> dict[str, object]:
    settings = evaluation.settings
    sampling = {name: settings[name] for name in ("max_new_tokens", "temperature", "top_p", "top_k", "seed")}
    return {
        "v": 1,
        "id": evaluation.id,
        "kind": evaluation.kind,
        "models": worker_models(panes, names),
        "sampling": sampling,
        "batch_rows": settings["batch_rows"],
        "generate": settings["generate"],
        "score": settings["score"],
        "trust_remote_code": any(pane.trust_remote_code for pane in panes),
        "max_length": settings["max_length"],
    }


def find_evaluation(store: Store, text: str) -> Evaluation:
    """The evaluation of that id, name or start of an id. Raises `NotFound`; `BadInput` where it could be several."""
    found = store.evaluations.find(text.strip())
    if len(found) == 1:
        return found[0]
    if found:
        some = "\n".join(f"  {one.id}  {one.name}" for one in found[:5])
        raise BadInput(f"{text!r} could be {len(found)} evaluations.", why=some, fix="Give the id of one of them.")
    raise NotFound(f"There is no evaluation {text!r}.", fix="`finetui evals ls` lists them all.")


def drive(
    home: Home,
    store: Store,
    evaluation: Evaluation,
    *,
    claim: int | None = None,
    worker: Sequence[str] = WORKER,
    on_look: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure what is missing and make the figures, as the one process that may.

    `claim` is what `EvaluationDir.begun` gave whoever started this process. Returns the evaluation as it has ended;
    stopped ones have a `reason`. Raises `FinetuiError` where it cannot go on, `BadInput` where another process is at
    it.
    """
    folder = EvaluationDir.of(home, evaluation.id)
    with folder.begun() if claim is None else nullcontext(claim) as held:
        failed: FinetuiError | None = None
        try:
            record_processes(folder, None)
            store.evaluations.end(evaluation.id, None)
            if not _measured(home, store, evaluation, folder, held, worker, on_look):
                return _ended(store, evaluation, reason_of({}))
            folder.say("making the figures")
            figures, counted_by, notes = _figures(home, store, evaluation, folder)
            store.evaluations.set_figures(evaluation.id, figures)  # first: with the file in its place it counts as done
            folder.write_figures(figures, counted_by, notes)
            return _ended(store, evaluation, "")
        except Exception as error:
            failed = error if isinstance(error, FinetuiError) else FinetuiError(str(error) or type(error).__name__)
            _ended(store, evaluation, reason_of({"what": failed.what, "why": failed.why, "fix": failed.fix}))
            raise
        finally:
            folder.finish(failed)


def _ended(store: Store, evaluation: Evaluation, reason: str) -> Evaluation:
    ended = time.time()
    store.evaluations.end(evaluation.id, ended, reason)
    return replace(evaluation, ended=ended, reason=reason)


def _measured(
    home: Home,
    store: Store,
    evaluation: Evaluation,
    folder: EvaluationDir,
    claim: int,
    worker: Sequence[str],
    on_look: Callable[[], None],
) -> bool:
    """Whether every row of every model is measured; `False` where somebody stopped it before."""
    stop = folder.stop.exists
    folder.forget_errors()
    before = _answered(folder)
    rows_left = before < evaluation.rows * len(evaluation.models)
    if not rows_left and not tasks_left(folder, evaluation):
        return True
    folder.say("waiting for a device")
    panes = seated(store, home, evaluation.models)
    lease = wait_for_device(home, evaluation.id, panes, stop)
    if lease is None:
        return False
    try:
        process = WorkerProcess(folder, lease, claim, stop, on_look)
        folder.say("starting the worker", measuring=True, **{"from": before})
        if rows_left and not measure_rows(process, worker):
            return False
        if not measure_tasks(process, evaluation, panes):
            return False
    finally:
        lease.release()
    missing = evaluation.rows * len(evaluation.models) - _answered(folder)
    if missing > 0:
        raise FinetuiError(
            f"{missing:,} answers are missing.",
            why="The process that measures came to its end without them.",
            fix=f"Its log is {folder.log}. Go on with `finetui eval --resume {evaluation.id}`.",
        )
    return True


def _answered(folder: EvaluationDir) -> int:
    return len(folder.read_answers())


def _figures(
    home: Home, store: Store, evaluation: Evaluation, folder: EvaluationDir
) -> tuple[list[Measured], str, list[str]]:
    """The figures of all models, what their tokens were counted by, and what is to be known about them.

    Rows that a model could not answer count for no model, so that all are measured on the same ones.
    """
    by_model = answers_by_model(folder, len(evaluation.models))
    failed = {one.row for answers in by_model for one in answers if one.error}
    counter = counter_of(home, folder, prepare=True)
    notes = [*evaluation.settings.get("notes", ()), *([counter.note] if counter.note else [])]
    if failed:
        first = next(one.error for answers in by_model for one in answers if one.error)
        notes.append(f"{len(failed):,} rows that a model could not answer were left out for all. The first: {first}")
    kept = [[one for one in answers if one.row not in failed] for answers in by_model]
    if not any(kept):
        raise FinetuiError(
            "No row was answered by every model.", why=notes[-1], fix=f"`finetui evals show {evaluation.id}` has all."
        )
    names = tuple(evaluation.settings["measures"])
    words = word_lists(home)
    figures: list[Measured] = []
    for place, answers in enumerate(kept):
        folder.say(f"making the figures of model {place + 1} of {len(kept)}")
        figures += measure(
            answers,
            kept[0] if place else None,
            counter,
            names=names,
            evaluation=evaluation.id,
            model=place,
            words=words,
            seed=int(evaluation.settings.get("seed") or 0),
        )
    return [*figures, *task_figures(folder, evaluation)], counter.name, notes


def counter_of(home: Home, folder: EvaluationDir, *, prepare: bool = False) -> TokenCounter:
    """What tokens are counted by: the same for all models of an evaluation. May wait some seconds for a network.

    With `prepare`, the first model's tokenizer is made ready where it is needed and is not yet.
    """
    first = (folder.read(folder.spec).get("models") or [{}])[0]
    model = str((folder.read(folder.about).get("models") or [""])[0])
    name = model.removeprefix(BASE) if model.startswith(BASE) else str(first.get("base") or "")

    def tokenizer() -> Tokenizer | None:
        try:
            if prepare:
                return model_tokenizer(home, name, revision=first.get("revision"))
            return kept_tokenizer(home, resolve_model(name, home), first.get("revision"))
        except FinetuiError:
            return None

    return token_counter(home, tokenizer)


def answers_by_model(folder: EvaluationDir, models: int) -> list[list[Answered]]:
    """The answers of each model, by row."""
    found: list[list[Answered]] = [[] for _ in range(models)]
    for model, one in folder.read_answers():
        if 0 <= model < models:
            found[model].append(one)
    return [sorted(answers, key=lambda one: one.row) for answers in found]
