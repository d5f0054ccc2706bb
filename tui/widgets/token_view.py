"""A row as the model sees it: what is trained in the accent, what is masked dim, what is cut off struck.

None of it rests on colour alone: `▐ ▌` stand around what is trained, a rule says where the row is cut.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from textual.content import Content

from tui.text import clean

if TYPE_CHECKING:
    from engine.tokens import Rendered, Token

TRAINED = "bold $text-primary"
MASKED = "$text-muted"
CUT = "strike $text-disabled"
OPEN, CLOSE = "▐", "▌"
NEWLINE = "⏎"
MOST_TOKENS = 16_000
"""What is drawn of one row; the rest is counted."""

_ROLE_LINE = re.compile(r"[\w. -]{1,20}")
Piece = tuple[str, str]


def token_content(rendered: "Rendered") -> Content:
    """The tokens of a row, newlines shown as `⏎`. What follows the name of a role stays on its line.

    Of a preference pair both answers are shown, one after the other.
    """
    if rendered.rejected is None:
        return _tokens(rendered)
    other = f"\n\n── ✗ rejected · {rendered.rejected.total:,} tokens, {rendered.rejected.trained:,} trained ──\n"
    return Content.assemble(
        ("── ✓ chosen ──\n", "bold $text-success"),
        _tokens(rendered),
        (other, "bold $text-error"),
        _tokens(rendered.rejected),
    )


def _tokens(rendered: "Rendered") -> Content:
    shown = rendered.tokens[:MOST_TOKENS]
    parts: list[Piece] = []
    breaks = _Breaks()
    inside = cut = False
    for (trained, truncated, special), tokens in groupby(shown, key=_kind):
        if truncated and not cut:
            if inside:
                parts.append((CLOSE, TRAINED))
                inside = False
            parts.append((f"\n── cut here: what follows is not seen ({rendered.cut:,} tokens) ──\n", "$text-warning"))
            cut = True
        elif trained != inside and not truncated:
            parts.append((OPEN if trained else CLOSE, TRAINED))
            inside = trained
        style = CUT if truncated else TRAINED if trained else MASKED
        text = clean("".join(token.text for token in tokens))
        parts.append((breaks.broken(text, special=special), style))
    if inside:
        parts.append((CLOSE, TRAINED))
    if len(rendered.tokens) > len(shown):
        parts.append((f"\n… {len(rendered.tokens) - len(shown):,} more tokens", MASKED))
    return Content.assemble(*_joined(parts))


def _kind(token: "Token") -> tuple[bool, bool, bool]:
    return token.trained and not token.truncated, token.truncated, token.special


class _Breaks:
    """Writes `⏎` for each newline and breaks the line there, but not after the name of a role."""

    def __init__(self) -> None:
        self._line = ""
        self._after_special = False

    def broken(self, text: str, *, special: bool) -> str:
        if special:
            self._line, self._after_special = "", True
            return text.replace("\n", NEWLINE)
        pieces = text.split("\n")
        out = ""
        for number, piece in enumerate(pieces):
            self._line += piece
            out += piece
            if number < len(pieces) - 1:
                role = self._after_special and _ROLE_LINE.fullmatch(self._line)
                out += NEWLINE if role else NEWLINE + "\n"
                self._line, self._after_special = "", False
        return out


def _joined(parts: Iterable[Piece]) -> Iterator[Piece]:
    """Neighbours of one style as one piece: fewer spans to wrap."""
    for style, pieces in groupby(parts, key=lambda part: part[1]):
        yield "".join(text for text, _ in pieces), style


def token_head(rendered: "Rendered", model: str, template: str) -> Content:
    """`Qwen2.5 template · 214 tokens · 96 trained (45 %) · 0 cut`."""
    share = rendered.trained / rendered.total if rendered.total else 0.0
    name = template if template != "own" else "" if rendered.template in ("", "own") else rendered.template
    of_model = f"{model} · {name} template" if name else f"{model} template" if rendered.template else model
    trained = f"{rendered.trained:,} trained ({share:.0%})".replace("%", " %")
    return Content.assemble(
        (of_model, "bold"),
        f" · {rendered.total:,} tokens · ",
        (trained, TRAINED if rendered.trained else "bold $text-error"),
        " · ",
        (f"{rendered.cut:,} cut", "bold $text-warning" if rendered.cut else ""),
    )
