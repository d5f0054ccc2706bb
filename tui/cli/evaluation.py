"""`finetui eval` and `finetui evals ls | show | stop | rm`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.evaluation_choice import make, models_of, probes_of, rows_of
from tui.cli.output import Progress, say, table
from tui.format import fmt_duration, fmt_when
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.evaluation.state import EvaluationState
    from store.evaluation_records import Evaluation

starting = typer.Typer()
app = typer.Typer(help="Evaluations: list, look, stop, remove.", no_args_is_help=True)

POLL_S = 0.3
EvaluationArgument = Annotated[str, typer.Argument(metavar="ID", help="Evaluation: id, name, or the start of an id.")]


@command(
    starting,
    "eval",
    example=[
        "eval demo",
        "eval support-2 support-3 --split test --rows 200",
        "eval demo --suite everyday --measure repetition --measure emoji_per_answer",
        "eval demo --retention",
        "eval path:merged --dataset support --against base:starter",
        "eval --resume e01abc",
    ],
)
def evaluate(
    session: Session,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[R]...", help="Runs; or base:NAME, path:FOLDER. The newest that succeeded, if none."),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Rows of this split; else test, else validation.", show_default=False)
    ] = "",
    dataset: Annotated[
        str, typer.Option(metavar="D", help="Dataset of the rows; else that of the first run.", show_default=False)
    ] = "",
    suite: Annotated[
        str, typer.Option(metavar="S", help="The prompts of a suite instead of a split.", show_default=False)
    ] = "",
    retention: Annotated[
        bool, typer.Option("--retention", help="Probes of what the base knows instead of a split.")
    ] = False,
    probes: Annotated[
        str, typer.Option(metavar="P", help="Probes: general, exact, starter, or a JSONL file.", show_default=False)
    ] = "",
    against: Annotated[
        str,
        typer.Option(metavar="M", help="Model to compare with: base, another as above, or none."),
    ] = "base",
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="At most N rows, drawn by the seed.", min=1, show_default=False)
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Longest answer; 256, of probes 32.", min=1, show_default=False)
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.", min=0.0)] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same rows, answers and intervals.")] = 0,
    measures: Annotated[
        list[str] | None, typer.Option("--measure", metavar="M", help="Only these measures; repeat it.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", "--tasks", metavar="T", help="Tasks of lm-eval besides; repeat it.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows that are worked on together.", min=1, max=512)] = 16,
    name: Annotated[str, typer.Option(help="Name of the evaluation; else that of its data.", show_default=False)] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it has ended.")] = True,
    resume: Annotated[
        str, typer.Option("--resume", metavar="ID", help="Measure what is missing of this one.", show_default=False)
    ] = "",
) -> None:
    """Measure models on rows they did not learn from, beside their base, with intervals and paired tests.

    It goes on when the terminal is closed. What was killed or stopped goes on with --resume.
    """
    from engine.evaluation.driver import start_driver
    from engine.evaluation.running import Options, find_evaluation

    if resume:
        if models or split or suite or retention or probes:
            raise BadInput("An evaluation that is gone on with has its rows and models.", fix="Give --resume alone.")
        made = find_evaluation(session.store, resume)
    else:
        options = Options(
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            batch_rows=batch,
            measures=tuple(measures or ()),
            tasks=tuple(part for text in tasks or () for part in text.split(",") if part),
            task_rows=rows,
        )
        names = models_of(session, models or [])
        chosen = rows_of(session, names, split=split, dataset=dataset, suite=suite, probes=probes_of(retention, probes))
        made = make(session, chosen, names, against, options, rows=rows, name=name)
    driver = start_driver(session.home, made.id)
    if wait:
        _wait(session, made, driver.poll)
        return
    told = f"Started {clean(made.name)} ({made.id}): {made.rows:,} rows for {len(made.models)} models.\n"
    session.answer(
        {"id": made.id, "name": made.name, "rows": made.rows, "models": list(made.models)},
        told + f"`finetui evals show {made.id}` tells how it goes.",
    )


def _wait(session: Session, made: "Evaluation", ended: "Callable[[], int | None]") -> None:
    """Follow the evaluation to its end. Exit status 0 where it is done, else 1."""
    from engine.evaluation.state import state_of
    from engine.runs.driver_folder import Stage
    from tui.cli.evaluation_words import answer_evaluation

    try:
        with session.progress() as progress:
            while ended() is None:
                _show_progress(progress, state_of(session.home, made))
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        say(f"{clean_line(made.name)} ({made.id}) goes on. `finetui evals stop {made.id}` stops it.")
        raise
    state = answer_evaluation(session, session.store.evaluations.get(made.id) or made)
    if state.stage is not Stage.DONE:
        raise typer.Exit(1)


def _show_progress(progress: Progress, state: "EvaluationState") -> None:
    if not state.done:
        progress.update(state.doing or "starting")
        return
    left = f"  {fmt_duration(state.eta_s)} left" if state.eta_s is not None else ""
    progress.update(
        "measuring", state.done / max(1, state.total), f"{state.done:,}/{state.total:,}{left}  {state.doing}"
    )


@command(app, "ls", example=["evals ls", "evals ls --run demo"])
def ls(
    session: Session,
    run: Annotated[str, typer.Option(metavar="R", help="Only those of this model.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many.", min=1)] = 50,
) -> None:
    """List the evaluations, newest first."""
    from engine.evaluation.state import states_of
    from engine.evaluation.subjects import labels, named
    from tui.cli.evaluation_words import COLOURS, short_document

    store = session.store
    found = store.evaluations.of_model(named(store, session.home, run), limit) if run else store.evaluations.list(limit)
    states = states_of(session.home, found)
    names = [labels(store, one.models) for one in found]

    def text() -> str:
        if not states:
            return "No evaluations yet. `finetui eval RUN` measures a run on the rows held out of its data."
        lines = [
            (
                state.evaluation.name,
                state.evaluation.kind,
                f"{state.evaluation.rows:,}",
                ", ".join(models),
                str(state.stage),
                "" if state.done == state.total else f"{state.done:,}/{state.total:,}",
                fmt_when(state.evaluation.created),
                state.id,
            )
            for state, models in zip(states, names, strict=True)
        ]
        return table(
            ("NAME", "KIND", "ROWS", "MODELS", "STATE", "ANSWERS", "CREATED", "ID"),
            lines,
            right=("ROWS", "ANSWERS"),
            optional=("CREATED", "ANSWERS", "MODELS"),
            style=lambda column, cell: COLOURS.get(cell) if column == 4 else None,
        )

    session.answer([short_document(state, models) for state, models in zip(states, names, strict=True)], text)


@command(app, "show", example=["evals show support-test", "evals show e01abc --worst 10 --by rouge_l"])
def show(
    session: Session,
    evaluation: EvaluationArgument,
    worst: Annotated[int, typer.Option(metavar="N", help="Rows that are shown, the worst first.", min=0)] = 0,
    by: Annotated[str, typer.Option(metavar="MEASURE", help="By what rows are the worst.", show_default=False)] = "",
    model: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Whose rows, by the model's place from 1; else the last.", min=1, show_default=False
        ),
    ] = None,
) -> None:
    """Show the figures of an evaluation beside each other, the targets, and the worst rows word by word."""
    from engine.evaluation.running import find_evaluation
    from tui.cli.evaluation_words import answer_evaluation

    made = find_evaluation(session.store, evaluation)
    if model is not None and model > len(made.models):
        raise BadInput(f"{made.name} has no model {model}.", fix=f"It has {len(made.models)}.")
    answer_evaluation(session, made, worst=worst, by=by, model=None if model is None else model - 1)


@command(app, "stop", example="evals stop support-test")
def stop(session: Session, evaluation: EvaluationArgument) -> None:
    """Stop an evaluation. What was measured is kept; `finetui eval --resume ID` measures the rest."""
    from engine.evaluation.running import find_evaluation
    from engine.evaluation.state import stop_evaluation

    made = find_evaluation(session.store, evaluation)
    if not stop_evaluation(session.home, made.id):
        raise BadInput(f"{made.name} is not being made.")
    session.answer({"stopped": made.id}, f"{clean(made.name)} ({made.id}): told to stop.")


@command(app, "rm", example="evals rm support-test")
def rm(session: Session, evaluation: EvaluationArgument) -> None:
    """Remove an evaluation, its answers and its figures. The models and the data stay."""
    from engine.evaluation.running import find_evaluation
    from engine.evaluation.state import remove_evaluation

    made = find_evaluation(session.store, evaluation)
    remove_evaluation(session.store, session.home, made)
    session.answer({"removed": made.id, "name": made.name}, f"Removed {clean(made.name)} ({made.id}).")
