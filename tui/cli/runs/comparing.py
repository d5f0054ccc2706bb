"""`finetui runs compare`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.documents import comparison_document
from tui.cli.output import table
from tui.cli.runs.finding import found
from tui.format import NONE, fmt_number
from tui.text import clean

if TYPE_CHECKING:
    from engine.runs.compare import Comparison

app = typer.Typer()


@command(app, "compare", example=["runs compare demo support-2", "runs compare demo support-2 support-3 --json"])
def compare(
    session: Session, runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two or more runs.")]
) -> None:
    """Put runs side by side: what differs in their recipes, and what they came to. ★ marks the best."""
    from engine.runs.compare import compare as compared

    ids = list(dict.fromkeys(found(session, run).id for run in runs))
    if len(ids) < 2:
        raise BadInput("It takes two runs to compare.", fix="Name another; `finetui runs ls` lists them.")
    comparison = compared(session.store, ids)
    session.answer(comparison_document(comparison), lambda: _text(comparison))


def _text(comparison: "Comparison") -> str:
    names = _column_names(comparison)
    settings = [(name, *(_setting(value) for value in values)) for name, values in comparison.differing.items()]
    figures = [
        (name, *(_figure(value, comparison.best[name] == index) for index, value in enumerate(values)))
        for name, values in comparison.metrics.items()
    ]
    parts = [
        table(("WHAT DIFFERS", *names), settings) if settings else "",
        table(("METRIC", *names), figures, right=names) if figures else "",
        clean(comparison.sentence),
    ]
    return "\n\n".join(part for part in parts if part)


def _column_names(comparison: "Comparison") -> list[str]:
    """The runs' names, with their ids where two share one."""
    names = [run.name for run in comparison.runs]
    return [f"{run.name} ({run.id})" if names.count(run.name) > 1 else run.name for run in comparison.runs]


def _setting(value: object) -> str:
    return NONE if value is None else str(value)


def _figure(value: float | None, best: bool) -> str:
    return f"{'★ ' if best else ''}{fmt_number(value)}"
