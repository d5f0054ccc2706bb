"""Characters for a terminal that knows few of them: each is shown as one that it knows, of the same width."""

import codecs
import unicodedata
from io import TextIOWrapper
from typing import Final, TextIO

from rich.cells import cell_len

HANDLER: Final = "finetui-stand-ins"
_KNOWN: Final = {
    **dict.fromkeys("─━╌┄┈═╴╶╸╺–—−―", "-"),
    **dict.fromkeys("│┃╎┆┊║╵╷╹╻▏▎▍▌▋▊▐▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┣┫┳┻╋±", "+"),
    **dict.fromkeys("█▉▇▆▅▓▒◆■▪", "#"),
    **dict.fromkeys("▄▃▂▁", "_"),
    **dict.fromkeys("▀▔", '"'),
    **dict.fromkeys("●★✱•", "*"),
    **dict.fromkeys("○◌◦◎◉◑°", "o"),
    **dict.fromkeys("▸▶►→›»", ">"),
    **dict.fromkeys("◂◀◄←‹«⏎", "<"),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("…·░", "."),
    "✓": "v",
    "✗": "x",
    "×": "x",
    "⚠": "!",
    "⚑": "!",
    "✂": "%",
    "✎": "/",
    "↻": "@",
    "↑": "^",
    "↓": "v",
    "≠": "!",
    "≥": ">",
    "≤": "<",
    "Δ": "d",
    "α": "a",
}
_UPPER: Final = 0b00011011
"""The four upper of a braille cell's eight dots; a cell's character is 0x2800 and a bit a dot."""


def use_stand_ins(file: TextIO | None) -> None:
    """Let `file` write a stand-in wherever its encoding has no such character. UTF-8 has them all."""
    codecs.register_error(HANDLER, _replace)
    if isinstance(file, TextIOWrapper):
        file.reconfigure(errors=HANDLER)


def stand_in(character: str) -> str:
    """Plain ASCII, as many cells wide as `character`."""
    if character in _KNOWN:
        return _KNOWN[character]
    if "\u2800" <= character <= "\u28ff":
        dots = ord(character) & 0xFF
        upper, lower = bool(dots & _UPPER), bool(dots & ~_UPPER)
        return ":" if upper and lower else "'" if upper else "." if lower else " "
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    width = cell_len(character)
    if len(plain) == width:
        return plain
    return "*" if width == 1 and unicodedata.category(character)[0] == "S" else "?" * width


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(stand_in, error.object[error.start : error.end])), error.end
