"""Places that a template or its author left open: `{{name}}`, `[INSERT …]`, `<NAME>`, `%s`, TODO, lorem ipsum."""

import re
from collections.abc import Iterator

from engine.datasets.placeholders import SIGNS, placeholders_in
from engine.datasets.quality.findings import Fault
from engine.datasets.rows import Row

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_TODO = re.compile(r"(?:^|[\s(\[])(?:TODO|FIXME|TBD)(?::|\]|\)|\s*$)", re.MULTILINE)
_LOREM = re.compile(r"\blorem ipsum dolor\b", re.IGNORECASE)
_BLANK = re.compile(
    r"\[(?:Your|My|Insert|Company|Recipient|Client|Customer|Name|Date|Address|Email|Phone|City|State|Title|Position|"
    r"Product|Sender|Manager|Employer|Organi[sz]ation)\b[A-Za-z '’/-]{0,40}\](?!\()"
)

_ABOUT_CODE = re.compile(
    r"```|\b(?:code|function|script|program|template|placeholder|variable|regex|format string|printf|python|javascript|"
    r"java|html|sql|jinja|django|react|vue|c\+\+|latex|bash|shell)\b|#include|def \w+\(|;\s*$",
    re.IGNORECASE | re.MULTILINE,
)
"""Where a row is about code or templates, braces and %s belong there."""

_ABOUT_IPSUM = re.compile(r"lorem ipsum", re.IGNORECASE)


def check_placeholders(row: Row, _kind: str) -> Iterator[Fault]:
    """At most one placeholder and one blank a turn, in the order of the turns."""
    about_code: bool | None = None
    for name, turns in (("messages", row.messages), ("chosen", row.chosen), ("rejected", row.rejected)):
        for place, turn in enumerate(turns):
            text = turn.content
            if not _may_hold(text) or turn.role == "tool":
                continue
            if about_code is None:
                about_code = any(_ABOUT_CODE.search(one.content) for one in (*row.messages, *row.chosen, *row.rejected))
            prose = _CODE.sub(" ", text) if "`" in text else text
            field = f"{name}[{place}].content"
            if found := _placeholder(text, prose, about_code, turn.role, row):
                yield Fault("placeholder", field, f"holds {found!r}")
            elif blank := _BLANK.search(prose):
                yield Fault("blank", field, f"holds {blank.group()!r}")


def _may_hold(text: str) -> bool:
    """A cheap sign, so that nearly all text is passed over."""
    return (
        any(sign in text for sign in SIGNS)
        or "TODO" in text
        or "TBD" in text
        or "FIXME" in text
        or "ipsum" in text
        or "IPSUM" in text
    )


def _placeholder(text: str, prose: str, about_code: bool, role: str, row: Row) -> str:
    for found in sorted(placeholders_in(text)):
        # a letter with [Your Name] in it is a fine answer, and told as a blank
        if (not about_code or found[0] in "[<") and not _BLANK.fullmatch(found):
            return found
    if todo := _TODO.search(prose):
        return todo.group().strip()
    lorem = _LOREM.search(prose)
    asked = any(_ABOUT_IPSUM.search(turn.content) for turn in row.messages if turn.role == "user")
    return lorem.group() if lorem and (role == "user" or not asked) else ""
