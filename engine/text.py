"""Untrusted text made safe to show: data, model output, names, logs, paths."""

import re

_ESCAPES = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    "|\x1b[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\|$)"  # OSC, DCS, SOS, PM, APC: titles, clipboard
    "|\x1b[ -/]*[0-~]?"  # all other escapes
    "|\x9b[0-?]*[ -/]*[@-~]"  # CSI as one byte
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"  # what turns the direction of text, or breaks its lines
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without escape sequences and control characters; tabs become four spaces, newlines stay."""
    text = text.replace("\r\n", "\n")
    text = _INVISIBLE.sub("", _ESCAPES.sub("", text))
    return _SURROGATES.sub("\ufffd", text).replace("\t", "    ")


def clean_line(text: str) -> str:
    """`clean(text)` on one line: newlines and runs of space become one space."""
    return " ".join(clean(text).split())


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters, with an ellipsis where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"
