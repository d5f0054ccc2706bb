"""What answers are compared by: the criteria that come with finetui, and a user's own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import BadInput
from engine.text import clean_line

KNOWN = {
    "overall": "which answer is better, all things considered",
    "helpful": "which answer does more for the person who asks: what was asked for, complete, and of use",
    "warm": "which answer is friendlier and more considerate of the person, without flattery",
    "accurate": "which answer is more correct; what is false or made up counts against it",
    "relevant": "which answer keeps closer to what was asked, without padding",
}
MOST = 12
LONGEST_MEANING = 300


@dataclass(frozen=True)
class Criterion:
    """A name, as votes have it, and what the judge is told that it means."""

    name: str
    meaning: str


def criteria_of(texts: Sequence[str] = ()) -> list[Criterion]:
    """The criteria that are named: `helpful,warm`, or `brief=says it in few words` for one's own; else all known ones.

    Raises `BadInput` for a name that is none.
    """
    found: dict[str, Criterion] = {}
    for text in texts:
        for part in [text] if "=" in text else text.split(","):
            name, _, meaning = (clean_line(piece) for piece in part.partition("="))
            name = name.lower()
            if not re.fullmatch(r"[a-z][a-z0-9_ -]{0,39}", name) or name == "reason":
                raise BadInput(
                    f"{part.strip()!r} is not a criterion.",
                    why="Its name takes letters, digits, spaces, - and _, 40 of them at most.",
                    fix=f"Known ones: {', '.join(KNOWN)}. Your own: --criteria 'brief=says it in few words'.",
                )
            told = meaning[:LONGEST_MEANING] or KNOWN.get(name) or f"which answer is more {name}"
            found[name] = Criterion(name, told)
    if len(found) > MOST:
        raise BadInput(f"{len(found)} criteria are too many for one question.", fix=f"Name {MOST} at most.")
    return list(found.values()) or [Criterion(name, meaning) for name, meaning in KNOWN.items()]
