"""The whole command tree, and how it is run."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from tui.cli import (
    alerts,
    arena,
    chat,
    costs,
    datasets,
    demo,
    doctor,
    estimate,
    evaluation,
    export,
    judge,
    knowledge,
    models,
    open_run,
    presets,
    queue,
    registry,
    runs,
    serve,
    storage,
    suites,
    sweeps,
    train,
    votes,
    web,
)
from tui.cli.command import HomeOption
from tui.cli.output import tolerate_encodings, write

app = typer.Typer(
    name="finetui",
    help="Fine-tune language models from the terminal. `finetui` alone opens the app.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  finetui\n  finetui demo\n  finetui train --preset quick-look --dataset support --wait",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        write(f"finetui {version('finetui')}")
        raise typer.Exit


@app.callback()
def root(
    home: HomeOption = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Fine-tune language models from the terminal. `finetui` alone opens the app."""


for group in (
    *(demo.app, open_run.app, doctor.app, train.app, estimate.app, sweeps.starting),
    *(chat.app, serve.app, web.app, evaluation.starting, judge.app, costs.app, registry.registering, export.app),
):
    app.add_typer(group)
for name, module in {
    "models": models,
    "datasets": datasets,
    "presets": presets,
    "runs": runs,
    "queue": queue,
    "alerts": alerts,
    "sweeps": sweeps,
    "suites": suites,
    "knowledge": knowledge,
    "arena": arena,
    "votes": votes,
    "evals": evaluation,
    "registry": registry,
    "store": storage,
}.items():
    app.add_typer(module.app, name=name)


def run(words: Sequence[str]) -> int:
    """Run one command. Returns the exit status."""
    tolerate_encodings()
    try:
        app(args=list(words), prog_name="finetui")
    except SystemExit as end:
        return _flushed(end.code if isinstance(end.code, int) else 1)
    return _flushed(0)


def _flushed(status: int) -> int:
    """The status, once stdout has taken everything; a reader that went away is no error worth a traceback."""
    import os

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
