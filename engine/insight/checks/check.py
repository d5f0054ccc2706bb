"""One thing that was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was `found`. `fix` says what to do, and is empty where `ok`."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{number} {one if number == 1 else many or one + 's'}"
