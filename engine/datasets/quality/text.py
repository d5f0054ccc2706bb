"""Text that was damaged on its way: control characters, wrong decoding, left-over markup, cut ends.

Every check looks for a cheap sign first, because nearly all text is sound.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from engine.datasets.quality.findings import Fault
from engine.datasets.rows import Row, Turn

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ESCAPES = re.compile(r"(?:\x1b[\[\]()#%*+PX^_@-Z\\]|\x9b|\x9d)")
"""ESC with what may follow it, or the one-character forms of CSI and OSC."""

_ASCII_CONTROLS = bytes([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])

_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|ndash|mdash|hellip|[lr][sd]quo|#\d{2,6}|#x[0-9a-fA-F]{2,5});")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|html|xml|entit|escap|encod|markup|&\w{1,20};.{0,100}=|\bsvg\b", re.IGNORECASE)
"""Where a text is about markup, entities belong there."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)

# U+200B zero width space, U+2060 word joiner, U+2061-2064 invisible operators, U+FEFF BOM, U+180E, U+00AD soft hyphen,
# U+202A-202E and U+2066-2069 direction overrides and isolates, U+E0000-E007F tags, U+3164 and U+FFA0 fillers
_HIDDEN = re.compile("[\u200b\u2060-\u2064\ufeff\u180e\u202a-\u202e\u2066-\u2069\u3164\uffa0\U000e0000-\U000e007f]")
_JOINED_ASCII = re.compile("[A-Za-z0-9][\u00ad\u200c\u200d\u200e\u200f]+[A-Za-z0-9]")
"""Soft hyphens, joiners and direction marks belong into other scripts and emoji, not between Latin letters."""

_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
"""Flags of parts of countries (England, Texas) are spelt with tag characters."""

_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_NO_SPACES = re.compile("[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u19e0-\u19ff]")
"""Scripts written without spaces, in which a zero-width space marks where a line may break."""

_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")

# Characters that only appear in text that has been decoded wrongly, or in Latin, Greek and Cyrillic text
_SUSPECT = re.compile("[\x80-\u024f\u0370-\u0460\u02c6-\u02dd\u2020-\u2022\u2030\u20ac\u2122\u2200-\u25ff\ufb01\ufb02]")

_LOOKED_AT_CHARS = 20_000
"""How far wrong decoding is looked for, which is slow: where it is, it is from the beginning."""

_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})", re.MULTILINE)

_OPEN_END = re.compile(
    r"(?:[,;(]|\b(?:and|or|the|a|an|of|to|in|with|for|that|which|is|are|was|by|as|because|und|oder|der|die|das|mit|"
    r"von|et|ou|le|la|les|de|des|du|que|y|o|el|los|las|del|con))\s*$"
)
_CUT_CHARS = 80
"""Shorter answers may well be labels, titles or lines of code."""


def check_text(row: Row, kind: str) -> Iterator[Fault]:
    """Faults of every turn's text, in the order of the turns."""
    for name, turns in (("messages", row.messages), ("chosen", row.chosen), ("rejected", row.rejected)):
        for place, turn in enumerate(turns):
            text = turn.content
            field = f"{name}[{place}].content"
            for code, check in ASCII_CHECKS if text.isascii() else ALL_CHECKS:
                if problem := check(text):
                    yield Fault(code, field, problem)
            if turn.role == "assistant" and text and not text.isspace():
                for code, check in ANSWER_CHECKS:
                    if problem := check(text):
                        yield Fault(code, field, problem)
    if kind != "prompts":
        yield from _cut_off(row)


def controls(text: str) -> str:
    """C0 and C1 control characters but for line breaks and tabs; those of escape sequences are told by `escapes`."""
    if text.isascii():
        data = text.encode()
        if len(data) == len(data.translate(None, _ASCII_CONTROLS)):
            return ""
    found = _CONTROLS.findall(text)
    if not found or len(found) == len(_ESCAPES.findall(text)):
        return ""
    if min(found) >= "\x80" and mojibake(text):  # C1 characters are the middle of what was decoded wrongly
        return ""
    names = sorted({f"U+{ord(char):04X}" for char in found})
    return f"holds control characters: {', '.join(names[:4])}"


def escapes(text: str) -> str:
    """ANSI and OSC sequences: colours, cursor movements, titles, links, the clipboard."""
    if "\x1b" not in text and "\x9b" not in text and "\x9d" not in text:
        return ""
    found = len(_ESCAPES.findall(text))
    return f"holds {found} terminal escape sequence{'s' if found > 1 else ''}" if found else ""


def replacements(text: str) -> str:
    count = text.count("\ufffd")
    return f"holds U+FFFD {count} time{'s' if count > 1 else ''}: characters were lost" if count else ""


def mojibake(text: str) -> str:
    """UTF-8 that was read as another encoding; told only where decoding it again gives other, sound text."""
    if not _SUSPECT.search(text):
        return ""
    for line in text[:_LOOKED_AT_CHARS].split("\n"):
        if _SUSPECT.search(line) and (mended := _mended(line)) != line:
            word, right = _first_difference(line, mended)
            return f"holds {word!r}, which is probably {right!r}"
    return ""


@lru_cache(maxsize=64)
def _mended(line: str) -> str:
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    return fix_encoding(line) if is_bad(line) else line


def _first_difference(line: str, mended: str) -> tuple[str, str]:
    """The words of both that differ first, as far as they can be set side by side."""
    pairs = zip(line.split(" "), mended.split(" "), strict=False)
    word, right = next(((a, b) for a, b in pairs if a != b), (line, mended))
    return word[:30], right[:30]


def entities(text: str) -> str:
    """Entities in prose; not in code, and not where the text is about markup."""
    if "&" not in text or not _ENTITY.search(text):
        return ""
    found = _ENTITY.search(_CODE.sub(" ", text))
    return f"holds {found.group()}" if found and not _MARKUP.search(text) else ""


def hidden(text: str) -> str:
    """Zero-width and direction characters that are there for no script's and no emoji's sake."""
    found = _HIDDEN.search(text)
    joined = _JOINED_ASCII.search(text)
    if not found and not joined:
        return ""
    visible = _FLAG.sub("", text)
    if _RTL.search(visible):
        visible = _DIRECTIONS.sub("", visible)
    if _NO_SPACES.search(visible):
        visible = visible.replace("\u200b", "")
    found = _HIDDEN.search(visible)
    if found:
        at, count = found.group(), len(_HIDDEN.findall(visible))
        return f"holds U+{ord(at):04X}, which cannot be seen" + (f", and {count - 1} more like it" if count > 1 else "")
    return f"holds U+{ord(joined.group()[1]):04X} inside a word" if joined else ""


def open_fence(text: str) -> str:
    """A code block that is opened and not closed. A fence closes with at least as many of the same characters."""
    if "```" not in text and "~~~" not in text:
        return ""
    opened = ""
    for match in _FENCE.finditer(text):
        fence = match.group(1)
        line_end = text.find("\n", match.end())
        rest = text[match.end() : line_end if line_end >= 0 else len(text)]
        if not opened:
            if fence[0] not in rest:  # `` ```x``` `` on one line is inline code
                opened = fence
        elif fence[0] == opened[0] and len(fence) >= len(opened) and not rest.strip():
            opened = ""
    return "opens a code block and does not close it" if opened else ""


def leading_space(text: str) -> str:
    return f"begins with {_space_name(text[0])}" if text[0].isspace() else ""


def trailing_space(text: str) -> str:
    return f"ends with {_space_name(text[-1])}" if text[-1].isspace() else ""


def _space_name(char: str) -> str:
    return {" ": "a space", "\n": "a line break", "\t": "a tab"}.get(char, "white space")


def _cut_off(row: Row) -> Iterator[Fault]:
    """The answer that is learnt last, where it stops at a comma or at a word that must be followed by another."""
    name, turns = ("chosen", row.chosen) if row.chosen else ("messages", row.messages)
    if turns and turns[-1].role == "assistant" and not turns[-1].calls and ends_open(turns[-1]):
        last = turns[-1].content.rstrip()[-30:]
        yield Fault("cut-off", f"{name}[{len(turns) - 1}].content", f"ends with {last!r}")


def ends_open(turn: Turn) -> bool:
    text = turn.content
    return len(text) >= _CUT_CHARS and bool(_OPEN_END.search(text[-40:])) and "```" not in text


Check = tuple[str, Callable[[str], str]]

ASCII_CHECKS: tuple[Check, ...] = (("control", controls), ("escape", escapes), ("entity", entities))
ALL_CHECKS: tuple[Check, ...] = (
    *ASCII_CHECKS,
    ("replacement", replacements),
    ("mojibake", mojibake),
    ("hidden", hidden),
)
"""What is looked for in every turn, by the check's code: each says what is wrong, or nothing."""

ANSWER_CHECKS: tuple[Check, ...] = (
    ("fence", open_fence),
    ("leading-space", leading_space),
    ("trailing-space", trailing_space),
)
"""What is looked for in what the model learns to say."""
