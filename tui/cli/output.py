"""What commands write: one JSON document or plain text on stdout; progress, warnings and errors on stderr.

Text comes from data, models and logs, so all of it passes `clean` before it reaches a terminal.
"""

import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size

from engine.errors import FinetuiError
from tui.text import clean, clean_line

_ACTING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def tolerate_encodings() -> None:
    """A character the terminal's encoding lacks becomes `?` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def write(text: str) -> None:
    """Lines for a person, on stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Lines beside the result, on stderr."""
    sys.stderr.write(text if text.endswith("\n") else text + "\n")
    sys.stderr.flush()


def write_json(document: Any) -> None:
    """The one document of a `--json` call. NaN and infinities become null; what acts on a terminal is escaped."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(_finite(document), ensure_ascii=not unicode, indent=2, allow_nan=False)
    write(_ACTING.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


def error_text(error: FinetuiError) -> str:
    """What, why and what to do, a paragraph each."""
    what, why, fix = (clean(part) for part in (error.what, error.why, error.fix))
    lines = [paint("finetui: ", "red", sys.stderr) + what]
    lines += [part for part in (why, fix) if part]
    return "\n".join(lines)


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a colour where the stream is a terminal that wants some."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    optional: Sequence[str] = (),
    style: Callable[[int, str], str | None] = lambda column, cell: None,
) -> str:
    """Aligned columns with two spaces between them, those named in `right` flush right.

    On a terminal too narrow for all, those named in `optional` are left out, the first of them first. `style` may name
    a colour for the cell of a column, by the column's index and the cell's text.
    """
    columns = [[clean_line(name), *cells] for name, *cells in zip(head, *_clean_cells(rows), strict=True)]
    widths = [max(cell_len(cell) for cell in column) for column in columns]
    shown = list(range(len(head)))
    for name in optional:
        if sum(widths[index] + 2 for index in shown) - 2 > room():
            shown.remove(head.index(name))

    def line(row: int) -> str:
        parts = []
        for index in shown:
            text = columns[index][row]
            padding = " " * (widths[index] - cell_len(text))
            colour = style(index, text) if row else "dim"
            painted = paint(text, colour) if colour and text else text
            if head[index] in right:
                parts.append(padding + painted)
            else:
                parts.append(painted if index == shown[-1] else painted + padding)
        return "  ".join(parts).rstrip()

    return "\n".join(line(row) for row in range(len(columns[0])))


def _clean_cells(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    return [[clean_line(str(cell)) for cell in row] for row in rows]


def room() -> float:
    """Columns of the terminal; a file has room for everything."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values, one a line, the values aligned; empty values are left out."""
    shown = [(name, clean(str(value))) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {value.replace(chr(10), indent)}" for name, value in shown)


class Progress:
    """One line on stderr that is written over. Where stderr is no terminal, each new label is a line, once."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._said: set[str] = set()
        self._drawn = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def update(self, label: str, fraction: float | None = None, detail: str = "") -> None:
        """Show `label`, a bar for `fraction` (0 to 1) where it is known, and `detail` behind it."""
        if self._quiet:
            return
        label = clean_line(label)
        if not self._live:
            if label not in self._said:
                say(label)
            self._said.add(label)
            return
        parts = [label] if fraction is None else [label, _bar(fraction), f"{fraction:4.0%}"]
        text = "  ".join([*parts, clean_line(detail)]).rstrip()
        width = shutil.get_terminal_size().columns - 1
        if cell_len(text) > width:
            text = set_cell_size(text, width - 1) + "…"
        if text != self._drawn:
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
            self._drawn = text

    def clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = ""


def _bar(fraction: float, width: int = 20) -> str:
    full = round(min(1.0, max(0.0, fraction)) * width)
    return "█" * full + "░" * (width - full)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
