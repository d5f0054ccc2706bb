"""What the commands about notes say: what came of adding some, and passages that were found."""

from typing import TYPE_CHECKING

from tui.cli.output import paint
from tui.text import clean, clean_line, shorten
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from engine.knowledge.library import AddReport
    from store.talk_records import Passage

SHOWN = 10
"""Skipped files that are listed."""
SHOWN_LINES = 6
"""Of a passage that was found."""


def report_text(report: "AddReport") -> str:
    parts = [
        f"{count:,} {words}"
        for count, words in (
            (len(report.added), "new"),
            (len(report.changed), "changed"),
            (report.unchanged, "unchanged"),
            (len(report.removed), "gone"),
        )
        if count
    ]
    lines = [
        f"{clean_line(report.name)}: {', '.join(parts) or 'no files'}; {count_words(report.passages, 'passage')} read."
    ]
    if report.vectors:
        lines.append(f"{count_words(report.vectors, 'passage')} can be found by meaning.")
    lines += [f"{paint('!', 'yellow')} {clean_line(one.path)} {clean_line(one.why)}" for one in report.partial]
    if report.skipped:
        lines.append(f"Not read: {count_words(len(report.skipped), 'file')}.")
        lines += [f"  {clean_line(one.path)} {clean_line(one.why)}" for one in report.skipped[:SHOWN]]
        more = len(report.skipped) - SHOWN
        lines += [f"  and {more:,} more; --json lists them"] if more > 0 else []
    return "\n".join(lines)


def passage_text(passage: "Passage", query: str) -> str:
    """Where it is from, its heading, and its first lines with the words that were looked for."""
    from store.knowledge_words import matches
    from tui.widgets.knowledge_passages import place_of

    lines = [line for line in clean(passage.text).splitlines() if line.strip()]
    shown = "\n".join(f"  {shorten(line, 400)}" for line in lines[:SHOWN_LINES])
    for start, end in reversed(matches(shown, query)):
        shown = shown[:start] + paint(shown[start:end], "bold") + shown[end:]
    more = f"\n  {paint(f'{len(lines) - SHOWN_LINES} more lines', 'dim')}" if len(lines) > SHOWN_LINES else ""
    return f"{paint(place_of(passage), 'green')}  {clean_line(passage.title)}\n{shown}{more}"
