"""What a judge said of a suite run: how far it can be trusted, who won, category by category."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from tui.format import NONE
from tui.text import clean_line
from tui.widgets.row_list import fitted

if TYPE_CHECKING:
    from engine.judging.report import CriterionReport, Score
    from engine.judging.suite_runs import JudgeReport

FEW = 10
"""Pairs that people voted on below which agreement says little."""
MUTED = "$text-muted"
SHARP = 1 / 3
"""The share of verdicts that changed with the order from which on ties say little."""


def judged_content(report: "JudgeReport", labels: Mapping[str, str], width: int) -> Content:
    """All of one judge's report, in `width` cells."""
    name = max(8, min(24, (width - 46) // 2, max((len(label) for label in labels.values()), default=8)))
    first = max(9, min(16, max(len(clean_line(one.criterion)) for one in report.criteria)))
    parts = [Content("\n").join([*_trust(report.criteria, first, width), _advice(report.criteria)])]
    scores = [(one.criterion, one.scores) for one in report.criteria]
    parts.append(_score_table("criterion", scores, labels, first, name))
    if report.categories:
        head = Content(f"By category, {clean_line(report.first)}").stylize("bold")
        rows = [(one.category or NONE, one.scores) for one in report.categories]
        parts.append(Content("\n").join([head, _score_table("category", rows, labels, first, name)]))
    return Content("\n\n").join(parts)


def _score_table(
    head: str, rows: "Sequence[tuple[str, tuple[Score, ...]]]", labels: Mapping[str, str], first: int, name: int
) -> Content:
    """Wins of each two models, a line for each two."""
    cells = f"{'wins':>5} {'ties':>5} {'both bad':>8} {'wins':>5}"
    line = f"{fitted(head, first)} {fitted('model', name, right=True)} {cells} {fitted('against', name)}"
    lines = [Content(line).stylize(MUTED)]
    for title, scores in rows:
        for place, one in enumerate(scores):
            left, right = ("bold $text-success" if won else "" for won in _won(one))
            lines.append(
                Content.assemble(
                    f"{fitted('' if place else clean_line(title), first)} ",
                    (fitted(labels[one.left], name, right=True), left),
                    f" {one.left_wins:>5} {one.ties:>5} {one.both_bad or NONE:>8} {one.right_wins:>5} ",
                    (fitted(labels[one.right], name), right),
                )
            )
    return Content("\n").join(lines)


def _won(score: "Score") -> tuple[bool, bool]:
    return score.left_wins > score.right_wins, score.right_wins > score.left_wins


def _trust(reports: "Sequence[CriterionReport]", first: int, width: int) -> list[Content]:
    """How far each criterion's votes can be trusted, a line each."""
    wide = width >= 100
    head = f"{fitted('criterion', first)} {'votes':>5} {'order changed':>14} {'longer won':>12}  "
    lines = [Content(head + ("agrees with people        kappa" if wide else "agrees, kappa")).stylize(MUTED)]
    for one in reports:
        bias = one.position_bias
        changed = NONE if bias is None else f"{bias:.0%} of {one.compared}"
        longer = f"{one.longer_won} of {one.decided}" if one.decided else NONE
        tone = "$text-warning" if bias is not None and bias >= SHARP else ""
        lines.append(
            Content.assemble(
                f"{fitted(clean_line(one.criterion), first)} {one.votes:>5} ",
                (f"{changed:>14}", tone),
                f" {longer:>12}  {_people(one, wide)}",
            )
        )
    return lines


def _people(report: "CriterionReport", wide: bool) -> str:
    """The share of the same verdicts and kappa, with their intervals where there is room."""
    one = report.agreement
    if one is None:
        return "nobody voted"
    share = f"{one.share:.2f}"
    if wide:
        share += f" ({one.share_interval[0]:.2f}-{one.share_interval[1]:.2f}, n {one.votes})"
    if one.kappa is None or one.kappa_interval is None:
        return f"{share:<25} one verdict throughout" if wide else f"{share}, {NONE} (n {one.votes})"
    if wide:
        return f"{share:<25} {one.kappa:.2f} ({one.kappa_interval[0]:.2f}-{one.kappa_interval[1]:.2f})"
    return f"{share}, {one.kappa:.2f} (n {one.votes})"


def _advice(reports: "Sequence[CriterionReport]") -> Content:
    """What the figures of trust mean here."""
    notes: list[str] = []
    if any(one.position_bias is not None and one.position_bias >= SHARP for one in reports):
        notes.append("Where the order changes a third of the verdicts, the judge looks at places, not at answers.")
    known = [one.agreement for one in reports if one.agreement]
    if not known:
        notes.append("Nobody voted on these pairs yet: vote on some (b on the suite run) to see how far to trust it.")
    elif any(one.pairs < FEW for one in known):
        notes.append(f"With fewer than {FEW} pairs that people voted on, agreement says little.")
    return Content("\n".join(notes)).stylize(MUTED)
