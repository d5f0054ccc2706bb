"""The last look at what is drawn: no character of it is a command to the terminal, whichever widget drew it.

Whatever comes from outside is cleaned where it is shown (`tui.text`). A line that is edited must keep what it has, and
a widget of tomorrow may forget; so every line passes here before it is written.
"""

import re
from typing import Final

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_COMMANDS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]")
"""No cells wide, all of them: lines keep their width without."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Harmless(LineFilter):
    """Takes out what acts on a terminal instead of being shown by it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if "".join([segment.text for segment in segments]).isprintable():
            return segments
        return [
            Segment(_SURROGATES.sub("\ufffd", _COMMANDS.sub("", text)), style, control)
            for text, style, control in segments
        ]
