"""`finetui sweep` and `finetui sweeps ls | show | stop | resume | rm`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.cli.command import Session, command
from tui.cli.output import Progress, fields, say, table
from tui.format import NONE, fmt_duration, fmt_number, fmt_when
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.sweeps.analysis import Importance, SweepView, TrialView
    from engine.sweeps.manager import SweepManager
    from engine.sweeps.spec import SweepSpec
    from store import StoreError
    from store.records import Sweep

starting = typer.Typer()
app = typer.Typer(help="Sweeps: list, look, stop, resume, remove.", no_args_is_help=True)

POLL_S = 0.5
COLOURS = {"complete": "green", "succeeded": "green", "failed": "red", "lost": "red", "pruned": "dim"}
SweepArgument = Annotated[str, typer.Argument(metavar="SWEEP", help="Name, id, or the start of an id.")]


@command(
    starting,
    "sweep",
    example=["sweep rates.toml --dry-run", "sweep rates.toml --trials 8 --wait", "sweep rates.toml --json"],
)
def sweep(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="What is varied, in which recipe.")],
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Runs in all, over what the file says.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the sweep; else the file's.", show_default=False)] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the sweep has ended.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and start nothing.")] = False,
) -> None:
    """Launch many runs of one recipe with some of its fields varied: a grid, or what optuna suggests.

    The sweep goes on when the terminal is closed.
    """
    from engine.sweeps.spec import load_spec, make_spec

    spec = load_spec(file, session.home)
    changes: dict[str, Any] = {key: value for key, value in {"trials": trials, "name": name}.items() if value}
    if changes:
        spec = make_spec(spec.model_dump(mode="json") | changes)
    if dry_run:
        _show_plan(session, spec)
        return
    made = _manager(session).start(spec)
    if wait:
        _wait(session, made)
        return
    session.answer(
        _document(_view(session, made)),
        f"Started {clean(made.name)} ({made.id}): {spec.total} runs.\n"
        f"`finetui sweeps show {made.id}` tells how it goes.",
    )


def _show_plan(session: Session, spec: "SweepSpec") -> None:
    """What would be run: every trial of a grid, else what is searched; and about how long it takes."""
    from engine.sweeps.lines import search_words
    from engine.sweeps.outlook import look_ahead

    outlook = look_ahead(session.home, session.store, spec)
    cells = spec.cells()
    document = {
        "spec": spec.model_dump(mode="json"),
        "runs": outlook.runs,
        "time_s": outlook.time_s,
        "trials": cells,
    }

    def text() -> str:
        took = f", about {fmt_duration(outlook.time_s)} one after the other" if outlook.time_s is not None else ""
        head = f"{outlook.runs} runs{took}"
        if cells:
            rows = [(number, *map(_value, cell.values())) for number, cell in enumerate(cells, 1)]
            return f"{table(('TRIAL', *spec.search), rows, right=('TRIAL',))}\n\n{head}"
        searched = fields((name, search_words(axis)) for name, axis in spec.search.items())
        return f"{searched}\n\n{head}, chosen by {spec.method}"

    session.answer(document, text)


def _wait(session: Session, made: "Sweep") -> None:
    """Follow the sweep to its end. Exit status 0 where it succeeded, else 1."""
    from engine.runs.follow import patiently

    manager = _manager(session)
    try:
        with session.progress() as progress:

            def look() -> "Sweep":
                session.manager.look()
                now = manager.get(made.id)
                _show_progress(progress, _view(session, now))
                return now

            def trouble(error: "StoreError") -> None:
                progress.update(f"trying again: {clean_line(error.what)}")

            while (now := patiently(look, trouble)).status.live:
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        say(f"{clean_line(made.name)} ({made.id}) goes on. `finetui sweeps stop {made.id}` stops it.")
        raise
    view = _view(session, now)
    session.answer(_document(view), lambda: _text(view))
    if now.status != "succeeded":
        raise typer.Exit(1)


def _show_progress(progress: Progress, view: "SweepView") -> None:
    best = f"best {fmt_number(view.best.value)}" if view.best else ""
    progress.update(view.sweep.name, view.done / view.total if view.total else None, best)


@command(app, "ls", example="sweeps ls")
def ls(session: Session) -> None:
    """List the sweeps, newest first."""
    sweeps = _manager(session).list()
    views = [_view(session, one) for one in sweeps]

    def text() -> str:
        if not views:
            return "No sweeps. `finetui sweep --help` tells how to start one."
        rows = [
            (
                one.sweep.name,
                str(one.sweep.status),
                f"{one.done}/{one.total}",
                fmt_number(one.best.value) if one.best else NONE,
                (one.best.run.name if one.best and one.best.run else NONE),
                fmt_when(one.sweep.created),
                one.sweep.id,
            )
            for one in views
        ]
        head = ("NAME", "STATUS", "DONE", "BEST", "RUN", "STARTED", "ID")
        return table(
            head,
            rows,
            right=("DONE", "BEST"),
            optional=("STARTED", "RUN"),
            style=lambda column, cell: COLOURS.get(cell) if column == 1 else None,
        )

    session.answer([_summary(view) for view in views], text)


@command(app, "show", example="sweeps show rates")
def show(session: Session, sweep: SweepArgument) -> None:
    """Show one sweep: its trials, best first, and which parameter mattered."""
    session.manager.look()
    view = _view(session, _manager(session).find(sweep))
    session.answer(_document(view), lambda: _text(view))


@command(app, "stop", example="sweeps stop rates")
def stop(session: Session, sweep: SweepArgument) -> None:
    """Stop a sweep. Runs at work save first; resume goes on with them."""
    manager = _manager(session)
    it = manager.find(sweep)
    manager.stop(it.id)
    session.answer(_document(_view(session, manager.get(it.id))), f"{clean(it.name)} ({it.id}): told to stop.")


@command(app, "resume", example="sweeps resume rates")
def resume(session: Session, sweep: SweepArgument) -> None:
    """Go on with a sweep that was stopped, failed or was lost."""
    manager = _manager(session)
    it = manager.find(sweep)
    manager.resume(it.id)
    session.answer(_document(_view(session, manager.get(it.id))), f"{clean(it.name)} ({it.id}): goes on.")


@command(app, "rm", example="sweeps rm rates")
def rm(session: Session, sweep: SweepArgument) -> None:
    """Remove a sweep that has ended. Its runs stay."""
    manager = _manager(session)
    it = manager.find(sweep)
    manager.remove(it.id)
    session.answer({"removed": it.id, "name": it.name}, f"Removed {clean(it.name)} ({it.id}); its runs stay.")


def _manager(session: Session) -> "SweepManager":
    from engine.sweeps.manager import SweepManager

    return SweepManager(session.home, session.store)


def _view(session: Session, sweep: "Sweep") -> "SweepView":
    from engine.sweeps.analysis import read_sweep

    return read_sweep(session.store, sweep)


def _document(view: "SweepView") -> dict[str, Any]:
    """A sweep with its trials; `importance` is by parameter, 0 to 1."""
    mattered = _importance(view)
    return _summary(view) | {
        "importance": mattered.shares,
        "importance_unknown": mattered.unknown,
        "trials": [_trial(trial) for trial in view.trials],
        "spec": view.sweep.spec,
    }


def _summary(view: "SweepView") -> dict[str, Any]:
    """A sweep in short. Times are unix seconds."""
    sweep = view.sweep
    return {
        "id": sweep.id,
        "name": sweep.name,
        "status": str(sweep.status),
        "reason": sweep.reason,
        "created": sweep.created,
        "ended": sweep.ended,
        "done": view.done,
        "total": view.total,
        "metric": view.metric,
        "best": _trial(view.best) if view.best else None,
        "dir": sweep.dir,
    }


def _trial(trial: "TrialView") -> dict[str, Any]:
    return {
        "number": trial.number + 1,
        "params": trial.params,
        "state": trial.state,
        "value": trial.value,
        "step": trial.step,
        "duration_s": trial.duration_s,
        "run": trial.run.id if trial.run else None,
        "name": trial.run.name if trial.run else None,
        "reason": trial.reason,
    }


def _importance(view: "SweepView") -> "Importance":
    from engine.sweeps.analysis import importance

    return importance(view)


def _text(view: "SweepView") -> str:
    sweep, mattered = view.sweep, _importance(view)
    best = view.best
    head = fields(
        [
            ("name", sweep.name),
            ("id", sweep.id),
            ("state", f"{sweep.status}" + (f": {sweep.reason}" if sweep.reason else "")),
            ("done", f"{view.done} of {view.total}"),
            ("best", f"{fmt_number(best.value)} {view.metric}, {best.run.name if best.run else NONE}" if best else ""),
            ("mattered", ", ".join(f"{name} {share:.0%}" for name, share in mattered.shares.items())),
            ("", f"({mattered.how or mattered.unknown})"),
            ("folder", sweep.dir),
        ]
    )
    names = list(view.spec.search) if view.spec else sorted({name for trial in view.trials for name in trial.params})
    rows = [
        (
            f"{trial.number + 1} ★" if best and trial.number == best.number else f"{trial.number + 1}  ",
            *(_value(trial.params.get(name)) for name in names),
            fmt_number(trial.value) if trial.value is not None else NONE,
            trial.step if trial.step is not None else "",
            fmt_duration(trial.duration_s) if trial.duration_s is not None else "",
            trial.state,
            trial.run.name if trial.run else "",
            trial.reason,
        )
        for trial in view.ranked()
    ]
    if not rows:
        return head
    columns = ("TRIAL", *names, view.metric.upper(), "STEP", "TOOK", "STATE", "RUN", "WHY")
    state = columns.index("STATE")
    shown = table(
        columns,
        rows,
        right=("TRIAL", view.metric.upper(), "STEP", "TOOK"),
        optional=("WHY", "TOOK", "STEP", "RUN"),
        style=lambda column, cell: COLOURS.get(cell) if column == state else None,
    )
    return f"{head}\n\n{shown}"


def _value(value: Any) -> str:
    """A parameter's value in few characters."""
    if isinstance(value, float):
        return fmt_number(value)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
