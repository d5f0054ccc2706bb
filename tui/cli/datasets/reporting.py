"""`finetui datasets validate | screen`: what may be wrong with the rows. Both report, and change nothing."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.cli.command import Session, command
from tui.cli.datasets.listing import GRADES
from tui.cli.datasets.naming import DatasetArgument, called, card_of
from tui.cli.datasets.working import working
from tui.cli.documents import dataset_document
from tui.cli.output import fields, paint, table
from tui.text import clean, clean_line
from tui.widgets.dataset_words import count_words, title_of

if TYPE_CHECKING:
    from engine.datasets.quality import Check, Report
    from engine.datasets.screening import Finding
    from store.records import Dataset

app = typer.Typer()

MARKS = {"error": ("✗", "red"), "warning": ("!", "yellow"), "info": ("·", "dim")}
FIRST = 8
"""Row numbers of a check that are named."""
FINDINGS = 50
"""Findings of a screening that are listed; JSON has all."""


class Kind(StrEnum):
    """What is screened for."""

    personal = "personal"
    harmful = "harmful"


@command(app, "validate", example=["datasets validate emoji", "datasets validate emoji --near 0 --json"])
def validate(
    session: Session,
    dataset: DatasetArgument,
    near: Annotated[
        float,
        typer.Option(
            "--near",
            metavar="X",
            help="How much alike near-duplicates are, from 0 to 1; 0 leaves them out.",
            min=0,
            max=1,
        ),
    ] = 0.9,
) -> None:
    """Look for everything that may be wrong with a dataset, and grade from A to F how ready it is.

    The report is kept with the dataset. Whatever the grade, the exit status is 0.
    """
    from engine.datasets.quality import validate as validated

    found = session.library.resolve(dataset)
    with working(session, f"validating {title_of(found)}") as work:
        report = validated(session.library, found, near=near or None, progress=work.progress, cancelled=work.cancelled)
    document = dataset_document(found, card_of(session, found)) | report.to_json()
    document["warnings"] = [*found.warnings, *report.warnings]
    session.answer(document, lambda: _report_text(found, report))


def _report_text(dataset: "Dataset", report: "Report") -> str:
    grade = paint(report.grade, GRADES.get(report.grade, "bold"))
    head = [f"grade {grade} ({report.score} of 100) · {called(dataset)}, {count_words(dataset.rows, 'row')}"]
    head += [f"  {clean_line(reason)}" for reason in report.reasons]
    checks = [_check_text(check) for check in report.checks]
    parts = ["\n".join(head), "\n".join(checks), fields(_figures(report.figures)), clean("\n".join(report.notes))]
    return "\n\n".join(part for part in parts if part)


def _check_text(check: "Check") -> str:
    """What was found, in which rows, and what to do; what is only worth knowing on one line."""
    mark, style = MARKS[check.level]
    rows = ", ".join(f"{row:,}" for row in check.rows[:FIRST])
    more = check.count - min(len(check.rows), FIRST)
    named = "row" if check.count == 1 else "rows"
    where = f"{named} {rows}" + (f" and {more:,} more" if more > 0 else "") if rows else ""
    said = f"{paint(mark, style)} {paint(clean_line(check.title), 'bold')}: {clean_line(check.message)}"
    if check.level == "info":
        return said + (f" ({where})" if where else "")
    return "\n".join([said, *(f"  {clean_line(text)}" for text in (where, check.fix) if text)])


def _figures(figures: dict[str, Any]) -> list[tuple[str, object]]:
    from engine.datasets.quality import language_name

    shown: list[tuple[str, object]] = [
        (name, _lengths(figures[key]))
        for name, key in (
            ("prompt chars", "prompt_chars"),
            ("answer chars", "answer_chars"),
            ("row chars", "row_chars"),
        )
        if figures.get(key, {}).get("max")
    ]
    for name, key in (("turns a row", "turns_mean"), ("emoji an answer", "emoji_mean")):
        shown.append((name, f"{figures[key]:g}" if figures.get(key) else ""))
    shares = figures.get("languages", {}).items()
    languages = [f"{language_name(code)} {share:.0%}" for code, share in shares if share >= 0.005]
    shown.append(
        ("languages", ", ".join(languages[:6]) + (f" and {len(languages) - 6} more" if len(languages) > 6 else ""))
    )
    if tokens := figures.get("tokens"):
        shown.append(
            ("tokens", f"{_lengths(tokens)}, by {tokens['tokenizer']}" if "tokenizer" in tokens else _lengths(tokens))
        )
    return shown


def _lengths(figures: dict[str, float]) -> str:
    return f"mean {figures['mean']:,.0f}, p50 {figures['p50']:,}, p95 {figures['p95']:,}, longest {figures['max']:,}"


@command(
    app,
    "screen",
    example=["datasets screen emoji", "datasets screen emoji --kind personal --words names.txt --json"],
)
def screen(
    session: Session,
    dataset: DatasetArgument,
    kinds: Annotated[
        list[Kind] | None,
        typer.Option(
            "--kind",
            metavar="personal|harmful",
            help="What is looked for; repeat it. Without, both.",
            show_default=False,
        ),
    ] = None,
    words: Annotated[
        Path | None,
        typer.Option("--words", metavar="FILE", help="A list of words of your own, one a line.", show_default=False),
    ] = None,
) -> None:
    """Look for personal data and harmful content, by patterns and lists of words.

    Rows are only reported, never dropped: look at them, and drop with `finetui datasets edit --drop`.
    """
    from engine.datasets.screening import screen as screened
    from engine.datasets.screening import screening_to_json

    found = session.library.resolve(dataset)
    chosen = tuple(dict.fromkeys(map(str, kinds))) if kinds else tuple(map(str, Kind))
    with working(session, f"screening {title_of(found)}") as work:
        findings = screened(
            session.library, found, kinds=chosen, words=words, progress=work.progress, cancelled=work.cancelled
        )
    document = {"id": found.id, "name": found.name, "version": found.version, "screened": list(chosen)}
    document |= screening_to_json(findings, found.rows)
    document["row_numbers"] = sorted({finding.row for finding in findings})
    session.answer(document, lambda: _screen_text(found, findings))


def _screen_text(dataset: "Dataset", findings: "list[Finding]") -> str:
    rows = len({finding.row for finding in findings})
    if not findings:
        return f"Nothing was found in {count_words(dataset.rows, 'row')} of {called(dataset)}."
    shown = table(
        ("ROW", "KIND", "RULE", "FIELD", "EXCERPT"),
        [(f"{one.row:,}", one.kind, one.rule, one.field, one.excerpt) for one in findings[:FINDINGS]],
        right=("ROW",),
    )
    more = len(findings) - FINDINGS
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in Counter(one.kind for one in findings).items())
    shown += f"\nand {more:,} more; --json lists all" if more > 0 else ""
    name = f"{clean_line(dataset.name)}@{dataset.version}"
    said = f"{rows:,} of {count_words(dataset.rows, 'row')} of {called(dataset)} hold {kinds}. Nothing was changed:"
    return f"{shown}\n\n{said}\n`finetui datasets edit {name} --drop ROWS` drops what you choose."
