"""What was found out about a run, in a line: what it is and which keys answer it."""

from typing import TYPE_CHECKING

from textual.content import Content

from tui.text import clean_line

if TYPE_CHECKING:
    from engine.insight.diagnosis import Finding


def finding_line(finding: "Finding", others: int = 0) -> Content:
    """`⚠ Overfitting since step 300: best 1.038, now 1.102 · a stop and keep step 300 · i ignore · w why`."""
    parts: list[tuple[str, str]] = [
        (f"{'✗' if finding.level == 'error' else '⚠'} {clean_line(finding.title)}", ""),
    ]
    if finding.acts:
        parts += [(" · ", ""), ("a", "bold"), (f" {clean_line(finding.acts[0].offer)}", "")]
    parts += [(" · ", ""), ("i", "bold"), (" ignore · ", ""), ("w", "bold"), (" why", "")]
    if others:
        parts.append((f" and {others} more", ""))
    return Content.assemble(*parts)
