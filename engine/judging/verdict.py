"""What a judge said, out of whatever it wrote around it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from engine.text import clean_line, shorten

LONGEST = 20_000
"""Characters that are looked at, from the end: there the verdict is."""
MOST_BRACES = 200
REASON = 300

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_END = r"(?=\W*$|\W*[.,;:)\]]|\s*[–—-]|\s+(?:because|since|as|is)\b)"
"""Behind a letter: `A good answer` names none."""
_WORD = (
    r"(?i:answer|assistant|response|option|model)?[\s_\-*\"'`\[(]*"
    rf"([AaBb]\b{_END}|(?i:tied?|draw|equal|both|same|neither|none)\b)"
)
_FREE = re.compile(rf"(?i:verdict|winner|better|final|choice)(?i: answer| one)?\W*(?:is|:|=)?\W*{_WORD}", re.MULTILINE)
_BRACKETS = re.compile(r"\[\[\s*(A|B|C|tie)\s*\]\]", re.IGNORECASE)


class Verdict(StrEnum):
    """By one criterion, in one order of the two answers."""

    A = "A"
    B = "B"
    TIE = "tie"
    NEITHER = "neither"


@dataclass(frozen=True)
class Judgement:
    """The verdicts by criterion, as far as some were found, and the judge's reason."""

    verdicts: dict[str, Verdict]
    reason: str = ""


def parse_judgement(text: str, names: Sequence[str]) -> Judgement:
    """The verdicts in a judge's reply: of its last JSON object that has some, else of lines such as `helpful: A`.

    With one criterion alone also `[[A]]`, `Winner: A`, or the bare letter. What is not found is left out.
    """
    text = _THOUGHT.sub("", text)
    if "</think>" in text:
        text = text.rpartition("</think>")[2]  # some templates write the opening tag themselves
    text = text[-LONGEST:]
    best = Judgement({})
    for found in _objects(text):
        verdicts = _of_object(found, names)
        if verdicts:
            reason = found.get("reason")
            best = Judgement(verdicts, shorten(clean_line(reason), REASON) if isinstance(reason, str) else "")
    if best.verdicts:
        return best
    return Judgement(_of_lines(text, names) or (_alone(text, names[0]) if len(names) == 1 else {}))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in `text`, in their order."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    for _ in range(MOST_BRACES):
        at = text.find("{", at)
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        at = end
        yield value


def _of_object(value: dict[str, Any], names: Sequence[str]) -> dict[str, Verdict]:
    """The verdicts of an object, or of one inside it."""
    lowered = {str(key).strip().lower(): item for key, item in value.items()}
    found = {name: verdict for name in names if (verdict := _verdict(lowered.get(name))) is not None}
    if not found and len(names) == 1:
        for key in ("winner", "verdict", "better", "answer", "choice"):
            if (verdict := _verdict(lowered.get(key))) is not None:
                return {names[0]: verdict}
    if not found:
        for item in value.values():
            if isinstance(item, dict) and (inner := _of_object(item, names)):
                return inner
    return found


def _verdict(value: Any) -> Verdict | None:
    if isinstance(value, dict):
        return next((one for key in ("verdict", "winner", "better") if (one := _verdict(value.get(key)))), None)
    if not isinstance(value, str):
        return None
    match = re.fullmatch(rf"\W*{_WORD}\W*", value.strip())
    return _meant(match.group(1)) if match else None


def _meant(word: str) -> Verdict:
    match word.lower():
        case "a":
            return Verdict.A
        case "b":
            return Verdict.B
        case "neither" | "none":
            return Verdict.NEITHER
    return Verdict.TIE


def _of_lines(text: str, names: Sequence[str]) -> dict[str, Verdict]:
    found = {}
    for name in names:
        line = re.compile(rf"^\W*(?i:{re.escape(name)})\W*?[:=–-]\W*{_WORD}", re.MULTILINE)
        for match in line.finditer(text):
            found[name] = _meant(match.group(1))
    return found


def _alone(text: str, name: str) -> dict[str, Verdict]:
    """A verdict where only one can be meant."""
    word = None
    for match in _BRACKETS.finditer(text):
        word = "tie" if match.group(1).lower() == "c" else match.group(1)
    if word is None:
        for match in _FREE.finditer(text):
            word = match.group(1)
    if word is None and (whole := re.fullmatch(rf"\W*{_WORD}\W*", text.strip())):
        word = whole.group(1)
    return {name: _meant(word)} if word is not None else {}
