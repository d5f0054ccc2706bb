"""`finetui runs compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import BadInput
from tui.cli.command import Session, command
from tui.cli.documents import comparison_document
from tui.cli.output import say, table, write
from tui.cli.runs.finding import found
from tui.format import NONE, fmt_bytes, fmt_number
from tui.text import clean

if TYPE_CHECKING:
    from engine.reports.writing import Kind
    from engine.runs.compare import Comparison

app = typer.Typer()

STDOUT = "-"
_TEXTS = ("csv", "md")
"""What may be written to stdout."""


@command(
    app,
    "compare",
    example=[
        "runs compare demo support-2",
        "runs compare demo support-2 --html report.html --png report.png",
        "runs compare demo support-2 support-3 --baseline support-2 --markdown pull.md",
    ],
)
def compare(
    session: Session,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two or more runs; one will do for a file.")],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with everything: one file, no network, prints well."),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", help="Write one line a run: facts, settings, metrics. - is stdout."),
    ] = None,
    curves: Annotated[
        Path | None, typer.Option("--curves", metavar="FILE", help="Write a CSV of every point, one a line.")
    ] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Write a picture of the curves.")] = None,
    markdown: Annotated[
        str | None,
        typer.Option("--markdown", metavar="FILE", help="Write Markdown for a pull request. - is stdout."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", metavar="RUN", help="Run that files measure the others against.", show_default="first"
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="METRIC", help="Show these metrics alone in files; may be repeated."),
    ] = None,
) -> None:
    """Put runs side by side: what differs in their recipes, and what they came to. ★ marks the best.

    The options write the same as a file to keep or to pass on, besides. Secrets are left out of it.
    """
    from engine.runs.compare import compare as compared

    files: dict[Kind, Path | str | None] = {"html": html, "csv": csv, "curves": curves, "png": png, "md": markdown}
    wanted: dict[Kind, Path] = {kind: Path(file) for kind, file in files.items() if file is not None}
    _check(wanted, session.as_json)
    ids = list(dict.fromkeys(found(session, run).id for run in runs))
    if len(ids) < 2 and not wanted:
        raise BadInput("It takes two runs to compare.", fix="Name another; `finetui runs ls` lists them.")
    against = found(session, baseline).id if baseline is not None else None
    written = _write(session, ids, wanted, against, metric or None)
    comparison = compared(session.store, ids)
    document = comparison_document(comparison) | ({"files": written} if wanted else {})
    silent = STDOUT in map(str, wanted.values()) or len(ids) < 2
    session.answer(document, lambda: "" if silent else _text(comparison))


def _check(wanted: "dict[Kind, Path]", as_json: bool) -> None:
    """Only one thing can be on stdout, and only text."""
    piped = [kind for kind, file in wanted.items() if str(file) == STDOUT]
    if any(kind not in _TEXTS for kind in piped):
        raise BadInput("Only --csv and --markdown can be written to stdout.", fix="Name a file.")
    if len(piped) + as_json > 1:
        raise BadInput("Only one thing can be written to stdout.", fix="Name a file for the others.")


def _write(
    session: Session, ids: Sequence[str], wanted: "dict[Kind, Path]", baseline: str | None, metrics: list[str] | None
) -> "dict[Kind, str]":
    """Write the files, and say so; where they are, by their kind."""
    if not wanted:
        return {}
    from engine.reports import render_report, write_report

    written: dict[Kind, str] = {}
    for kind, file in wanted.items():
        if str(file) == STDOUT:
            parts = render_report(session.store, ids, kind=kind, baseline=baseline, metrics=metrics)
            write(b"".join(parts).decode())
            continue
        write_report(session.store, ids, file, kind=kind, baseline=baseline, metrics=metrics)
        say(clean(f"wrote {file} ({fmt_bytes(file.stat().st_size)})"))
        written[kind] = str(file)
    return written


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
