"""A model card and a comparison of two versions, drawn."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from engine.figures import fmt_number, fmt_setting
from tui.text import clean, clean_line
from tui.widgets.light_markdown import markdown_content
from tui.widgets.row_list import fitted

if TYPE_CHECKING:
    from engine.registry.comparing import FigurePair, VersionComparison

MUTED = "$text-muted"
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_ESCAPED = re.compile(r"\\([_*\[\]<>#`\\])")
NAME, VALUE = 28, 16


def card_content(text: str, width: int) -> Content:
    """A card without its front matter, at most `width` cells wide."""
    body = _FRONT.sub("", clean(text)).strip()
    return markdown_content(_ESCAPED.sub(r"\1", body), width)


def comparison_content(compared: "VersionComparison", width: int) -> Content:
    """The sentence, then figures, settings and what both took, each in columns."""
    from engine.registry.comparing import took_words

    columns = (f"v{compared.before.version}", f"v{compared.after.version}")
    value = max(10, min(VALUE, (width - NAME - 4) // 3))
    lines = [Content(clean_line(compared.sentence)).stylize("bold"), Content("")]
    if compared.figures:
        lines.append(_head("figure", columns, value))
        for one in compared.figures:
            label = one.label if one.on == "training" else f"{one.label} on {one.on}"
            lines.append(_line(label, (fmt_number(one.before), fmt_number(one.after)), value, *_verdict(one)))
        lines.append(Content(""))
    if compared.settings:
        lines.append(_head("made with", columns, value))
        lines += [
            _line(one.name, (fmt_setting(one.before), fmt_setting(one.after)), value) for one in compared.settings
        ]
        lines.append(Content(""))
    if compared.took:
        lines.append(_head("took", columns, value))
        lines += [_line(one.label, took_words(one), value) for one in compared.took]
    return Content("\n").join(lines)


def _verdict(one: "FigurePair") -> tuple[str, str]:
    """Better or worse, and whether that is more than chance."""
    if one.better is None:
        return "", ""
    word = "better" if one.better else "worse"
    if one.apart is False:
        return f"{word}, within intervals", MUTED
    return word, "$text-success" if one.better else "$text-error"


def _head(name: str, columns: Sequence[str], value: int) -> Content:
    cells = "  ".join(fitted(column, value, right=True) for column in columns)
    return Content(f"{fitted(name, NAME)}{cells}").stylize(MUTED)


def _line(name: str, values: Sequence[str], value: int, said: str = "", style: str = "") -> Content:
    cells = "  ".join(fitted(clean_line(one), value, right=True) for one in values)
    return Content.assemble(fitted(clean_line(name), NAME), cells, (f"  {said}" if said else "", style))
