"""Texts that mean harm to a terminal, to markup, or to a page; and how to see that they did none."""

import re
from typing import Final

SHOWN: Final = "[b]x[/][/ [@click=app.quit]q {{7*7}}<script>alert(1)</script>"
"""Markup of every kind. It is to be seen as it is written here."""

CONTROLS: Final = {
    "colour": "\x1b[31m",
    "clear": "\x1b[2J\x1b[H",
    "one-byte CSI": "\x9b2J",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "one-byte OSC": "\x9d52;c;ZXZpbA==\x9c",
    "DCS": "\x1bP1$r0m\x1b\\",
    "APC": "\x1b_Gi=1;AAAA\x1b\\",
    "charset": "\x1b(0\x0e",
    "bell": "\x07",
    "NUL, backspace, return": "\x00\x08\r",
    "bidi override": "\u202e\u2066\u061c",
    "line separators": "\u2028\u0085",
}
STORM: Final = "e" + "\u0301" * 60
"""A letter with so many accents that they would cover the lines above."""
SURROGATE: Final = "\ud800"
ZERO_WIDTH: Final = "\u200b\u200d\ufeff"

_HARM: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_STORM: Final = re.compile("[\u0300-\u036f]{5}")
_OWN: Final = re.compile(
    r"\x1b\[[0-9;]*m"  # colours
    r"|\x1b\[[0-9;]*H"  # the cursor is put somewhere
    r"|\x1b\[\?(?:25|1000|1003|1004|1006|1015|1016|1049|2004|2026|2048|7)(?:[hl]|\$p)"  # modes of the terminal
    r"|\x1b\[>1u|\x1b\[<u|\x1b\[\?u|\x1b\[>4;[0-9]m|\x1b\[[0-9]*[ABCDJK]"
    r"|\x1b\]22;[a-z-]+\x07"  # the pointer's shape
)
"""What the app itself sends. None of it says anything that somebody else wrote, but for colours: hostile ones are red
alone, which no theme has."""


def evil(place: str) -> str:
    """A text for `place` with everything in it, on one line. `told(place)` is how it begins on a screen."""
    return f"{place}{''.join(CONTROLS.values())}{SHOWN} {STORM}{ZERO_WIDTH}\x1b"


def evil_json(place: str) -> str:
    """The same with half a character in it, as only JSON can carry one."""
    return evil(place) + SURROGATE


def told(place: str, characters: int = 6) -> str:
    """How `evil(place)` begins where it is shown, with so much of the markup behind it."""
    return place + SHOWN[:characters]


def harm_in(text: str, *, storms: bool = True) -> list[str]:
    """What may not reach a terminal in text that is drawn, accents without end among it where `storms` count."""
    found = {ascii(one) for one in _HARM.findall(text)} | {"a storm" for _ in _STORM.findall(text) if storms}
    return sorted(found)


def harm_in_stream(written: str, *, storms: bool = True) -> list[str]:
    """What may not reach a terminal in everything that was written to it."""
    return harm_in(_OWN.sub("", written).replace("\r\n", "\n"), storms=storms) + re.findall(
        r"\x1b\[31m|\x1b\[2J", written
    )
