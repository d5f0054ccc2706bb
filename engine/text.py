"""Untrusted text made safe to show: data, model output, names, logs, paths."""

import re

_ESCAPES = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c|$)"  # OSC, DCS …: titles, clipboard
    "|\x1b[ -/]*[0-~]?"  # all other escapes
    "|\x9b[0-?]*[ -/]*[@-~]"  # CSI as one byte
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    # what turns the direction of text, breaks its lines, or changes the shapes of its letters
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_ACCENTS = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_STORMS = re.compile(f"({_ACCENTS}{{4}}){_ACCENTS}+")
"""More accents on one letter than any language has: a terminal draws them over the lines around it."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without escapes, control characters and piles of accents; tabs become four spaces, newlines stay."""
    text = text.replace("\r\n", "\n")
    text = _STORMS.sub(r"\1", _INVISIBLE.sub("", _ESCAPES.sub("", text)))
    return _SURROGATES.sub("\ufffd", text).replace("\t", "    ")


def clean_line(text: str) -> str:
    """`clean(text)` on one line: newlines and runs of space become one space."""
    return " ".join(clean(text).split())


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters, with an ellipsis where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"
