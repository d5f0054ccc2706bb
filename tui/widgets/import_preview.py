"""What an import would make of a file, in a few lines: how sure that is, what is wrong, three rows as they would be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from tui.text import clean_line, shorten
from tui.widgets.conversation_preview import ROLE_STYLES
from tui.widgets.dataset_words import count_words

if TYPE_CHECKING:
    from engine.datasets.importing import ImportPreview
    from engine.datasets.rows import Row, Turn
    from tui.errors import Explained

SHOWN_ROWS = 3
CERTAIN = 0.95
MOST_PROBLEMS = 20
"""As many as a preview lists; there may be more."""
MUTED = "$text-muted"
LABEL = 9
STYLES = {**ROLE_STYLES, "chosen": "bold $text-success", "rejected": "bold $text-error"}


def confidence_words(preview: "ImportPreview", *, told: bool = False) -> str:
    """How sure the shape is: `messages, certain`, `looks like alpaca, unsure`, `text, as you said`."""
    if told:
        return f"{preview.shape}, as you said"
    if preview.unsure:
        return f"looks like {preview.shape}, unsure" if preview.shape else "of no shape that is known"
    return f"{preview.shape}, {'certain' if preview.confidence >= CERTAIN else 'likely'}"


def verdict_lines(preview: "ImportPreview", width: int, *, told: bool = False) -> list[Content]:
    """Rows, shape, how sure; what is a guess; which column is what; what is wrong."""
    unsure = preview.unsure and not told
    mark = ("? ", "$text-warning") if unsure else ("✓ ", "$text-success")
    facts = [confidence_words(preview, told=told), preview.format]
    if preview.splits:
        facts.append(f"split into {', '.join(map(clean_line, preview.splits))}")
    rows = f"{preview.rows_total:,} {'row' if preview.rows_total == 1 else 'rows'}"
    lines = [_one_line(Content.assemble(mark, (rows, "bold"), f" · {' · '.join(filter(None, facts))}"), width)]
    if preview.shape == "prompts":
        words = f"{count_words(preview.rows_total, 'prompt')} without answers: imported as a prompt suite "
        lines.append(Content(f"{words}to try models on, not to train on").stylize("$text-warning"))
    if unsure:
        lines += [
            _one_line(Content(clean_line(one)).stylize("$text-warning"), width) for one in _first(preview.reasons)
        ]
    if words := mapping_words(preview):
        lines.append(Content(shorten(words, width)).stylize(MUTED))
    if preview.problems:
        count = len(preview.problems)
        many = f"{MOST_PROBLEMS} or more" if count >= MOST_PROBLEMS else str(count)
        start = f"✗ {many} of the first {preview.checked:,} cannot be used: "
        first = shorten(clean_line(str(preview.problems[0])), max(20, width - len(start)))
        lines.append(Content.assemble((start, "$text-error"), first))
    if preview.placeholders:
        names = ", ".join(clean_line(one) for one in preview.placeholders[:4])
        words = f"⚠ placeholders in the text: {names}; they would be learnt as they stand"
        lines.append(Content(shorten(words, width)).stylize("$text-warning"))
    return lines


def mapping_words(preview: "ImportPreview") -> str:
    """Which column each field is read from, where the column is not called like it."""
    pairs = [(field, clean_line(column)) for field, column in preview.mapping.items() if field != column]
    return ", ".join(f"{field} from {column}" for field, column in pairs)


def row_lines(rows: "Sequence[Row]", width: int, room: int) -> list[Content]:
    """The first three rows, each in as many lines as there is room for: one a turn, what tells most of them."""
    shown = rows[:SHOWN_ROWS]
    each = max(1, min(6, room // max(1, len(shown))))
    lines: list[Content] = []
    for row in shown:
        pieces = _pieces(row)
        told = _most_telling(row, pieces, each)
        left = f"+{len(pieces) - len(told)} more" if len(told) < len(pieces) else ""
        for place, (name, text) in enumerate(told):
            label = f"row {row.index + 1:,}" if place == 0 else left if place == 1 else ""
            words = shorten(clean_line(text[:600]), max(10, width - LABEL - LABEL - 3))
            style = STYLES.get(name, "bold")
            lines.append(Content.assemble((label.ljust(LABEL), MUTED), (name.rjust(LABEL + 1), style), "  ", words))
    return lines


def problem_lines(problem: "Explained") -> list[Content]:
    """What, why, and what to do now."""
    what, why, fix = problem
    lines = [Content.assemble((f"✗ {clean_line(what)}", "$text-error"))]
    lines += [Content(clean_line(one)).stylize(MUTED) for one in why.splitlines()[:6] if one.strip()]
    lines += [Content(clean_line(fix))] if fix else []
    return lines


def _pieces(row: "Row") -> list[tuple[str, str]]:
    pieces = [(turn.role, _said(turn)) for turn in row.messages]
    pieces += [("chosen", _said(turn)) for turn in row.chosen[-1:]]
    pieces += [("rejected", _said(turn)) for turn in row.rejected[-1:]]
    pieces += [("label", "good" if row.label else "bad")] if row.label is not None else []
    return pieces


def _most_telling(row: "Row", pieces: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most `most` pieces: what is asked last and both answers of a pair, else the first turns and the last."""
    if len(pieces) <= most:
        return pieces
    if row.chosen and most >= 3:
        asked = len(row.messages)
        return pieces[max(0, asked - most + 2) : asked] + pieces[asked : asked + 2]
    if pieces[0][0] == "system":
        pieces = pieces[1:]
    return [*pieces[: most - 1], *pieces[-1:]] if most > 1 else pieces[:1]


def _said(turn: "Turn") -> str:
    return f"{turn.content} {turn.calls}".strip()


def _first(reasons: Sequence[str]) -> Sequence[str]:
    return reasons[:2]


def _one_line(content: Content, width: int) -> Content:
    return content.truncate(max(10, width), ellipsis=True)
