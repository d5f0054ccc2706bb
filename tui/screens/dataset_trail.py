"""Rows worth a look, stepped through with `n` and `p`: what a report found, one of its checks, or a screening."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui.text import clean_line

if TYPE_CHECKING:
    from engine.datasets.quality import Report
    from engine.datasets.screening import Finding


@dataclass(frozen=True)
class Trail:
    """Rows by their index, ascending. What is the matter with each stands in `said`, or in the report."""

    title: str
    rows: tuple[int, ...] = ()
    said: dict[int, tuple[str, ...]] = field(default_factory=dict)
    report: "Report | None" = None

    def step(self, index: int, direction: int) -> tuple[int, bool] | None:
        """The next row after `index`, or before it; and whether that went over the end. `None` where there is none."""
        if not self.rows:
            return None
        place = bisect_right(self.rows, index) if direction > 0 else bisect_left(self.rows, index) - 1
        return self.rows[place % len(self.rows)], not 0 <= place < len(self.rows)

    def place(self, index: int) -> str:
        """`problem 3 of 12`; empty for a row that is not on the trail."""
        at = bisect_left(self.rows, index)
        if at < len(self.rows) and self.rows[at] == index:
            return f"{self.title} {at + 1:,} of {len(self.rows):,}"
        return ""

    def notes(self, index: int) -> tuple[str, ...]:
        """What is the matter with a row."""
        if self.report is None:
            return self.said.get(index, ())
        words = (clean_line(str(problem)) for problem in self.report.problems_of(index + 1) if problem.level != "info")
        return (*self.said.get(index, ()), *dict.fromkeys(words))


def trail_of_report(report: "Report", code: str = "") -> Trail:
    """Every row that an error or a warning names; with a `code`, the rows of that check alone."""
    check = next((one for one in report.checks if one.code == code), None)
    if check is None:
        return Trail("problem", tuple(row - 1 for row in report.rows_with_problems()), report=report)
    title = clean_line(check.title)
    rows = tuple(sorted(row - 1 for row in check.rows))
    said: dict[int, tuple[str, ...]] = dict.fromkeys(rows, (title,)) if check.level == "info" else {}
    return Trail(title.lower(), rows, said, report)


def trail_of_findings(title: str, findings: "Iterable[Finding]") -> Trail:
    """The rows that a screening names."""
    said: dict[int, list[str]] = {}
    for finding in findings:
        words = clean_line(f"{finding.field}: {finding.rule}: {finding.excerpt}")
        if words not in said.setdefault(finding.row - 1, []):
            said[finding.row - 1].append(words)
    return Trail(title, tuple(sorted(said)), {row: tuple(words) for row, words in said.items()})
