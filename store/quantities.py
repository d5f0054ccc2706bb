"""Numbers, sizes, spans and dates as people type them: `2e-4`, `16k`, `8GB`, `1h30m`, `50%`, `2026-11`, `yesterday`.

What is half typed is read as far as it goes, for filters are typed live: `1e-` is 1, `2026-` is 2026. The readers give
`None` where text is no such thing at all.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WITH_UNIT = re.compile(rf"({NUMBER})(?:[eE][+-]?$)?\s*([A-Za-z%]*)")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-z]*)")
_SPAN = re.compile(r"(?:(?:\d+\.?\d*|\.\d+)\s*[a-z]+\s*)*(?:\d+\.?\d*|\.\d+)\s*[a-z]*")
"""Parts with a unit; the last may do without."""
_DATE = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2})(?::(\d{2}))?)?)?)?)?[-T: ]?", re.IGNORECASE
)

Reader = Callable[[str], float | None]

BYTES: Mapping[str, float] = {
    "b": 1,
    **{f"{letter}{rest}": 1024.0**power for power, letter in enumerate("kmgt", 1) for rest in ("", "b", "ib")},
}
"""In units of 1,024, as they are shown."""

COUNTS: Mapping[str, float] = {
    "%": 0.01,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    **{unit: size for unit, size in BYTES.items() if len(unit) > 1},
}
"""Units of any number."""

JOULES: Mapping[str, float] = {"": 3600, "j": 1, "kj": 1e3, "mj": 1e6, "wh": 3600, "kwh": 3.6e6, "mwh": 3.6e9}
"""Watt-hours, where no unit is given."""

WATTS: Mapping[str, float] = {"w": 1, "kw": 1e3, "mw": 1e6}

SECONDS: Mapping[str, float] = {
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86_400,
    "day": 86_400,
    "days": 86_400,
    "w": 604_800,
    "y": 31_557_600,
}


def number(text: str, units: Mapping[str, float] = COUNTS) -> float | None:
    """A number with one of the units, if any; `nan` and `inf` are numbers too."""
    text = text.strip()
    if text.lower().lstrip("+-") in ("nan", "inf"):
        return float(text)
    match = _WITH_UNIT.fullmatch(text)
    if match is None:
        return None
    unit = match[2].lower()
    if unit == "%" and "%" in units:
        return float(match[1]) / 100  # 70% is 0.7; times 0.01 it is a little more
    size = {"": 1.0, **units}.get(unit)
    return None if size is None else float(match[1]) * size


def share(text: str) -> float | None:
    """A part of a whole, 0 to 1: `50%`, `0.5`; a number beyond 1 is meant in percent."""
    found = number(text, {"%": 0.01})
    return found / 100 if found is not None and found > 1 and "%" not in text else found


def size(text: str) -> float | None:
    """Bytes: `8GB`, `512MB`."""
    return number(text, BYTES)


def energy(text: str) -> float | None:
    """Joules: `1kWh`, `300kJ`; watt-hours without a unit."""
    return number(text, JOULES)


def power(text: str) -> float | None:
    return number(text, WATTS)


def money(text: str) -> float | None:
    """An amount, with or without a currency's sign before or behind it."""
    return number(text.strip("$€£¥ "))


def span(text: str, bare: str = "s") -> float | None:
    """Seconds: `90s`, `1h30m`, `2d`, `1w`. A number alone is in units of `bare`."""
    text = text.strip().lower()
    parts = _PART.findall(text)
    if not parts or not _SPAN.fullmatch(text) or any(unit and unit not in SECONDS for _, unit in parts):
        return None
    total = 0.0
    unit_before = ""
    for figure, unit in parts:
        # `1h30` is an hour and thirty of the next smaller: minutes.
        total += float(figure) * SECONDS[unit or (_smaller(unit_before) if unit_before else bare)]
        unit_before = unit
    return total


def _smaller(unit: str) -> str:
    return {"d": "h", "day": "h", "days": "h", "h": "m", "w": "d", "y": "w"}.get(unit, "s")


def age(text: str) -> float | None:
    """How long ago, in seconds: `7d`, `2h`; days without a unit. A year is none."""
    return None if re.fullmatch(r"(19|20)\d\d", text.strip()) else span(text, "d")


def day_words(now: float) -> dict[str, tuple[float, float]]:
    """The days and stretches of days that have names: their first moment and the first after them, unix seconds."""
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    first = today.replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    spans = {
        "today": (today, today + timedelta(days=1)),
        "yesterday": (today - timedelta(days=1), today),
        "this-week": (monday, monday + timedelta(days=7)),
        "last-week": (monday - timedelta(days=7), monday),
        "this-month": (first, (first + timedelta(days=32)).replace(day=1)),
        "last-month": (before, first),
    }
    return {word: (start.timestamp(), end.timestamp()) for word, (start, end) in spans.items()}


def period(text: str, now: float) -> tuple[float, float] | None:
    """The year, month, day, hour, minute or second that `text` names, in local time: its first moment and the next."""
    words = day_words(now)
    wanted = text.strip().lower()
    named = [word for word in words if word.startswith(wanted)] if wanted else []
    if named:
        return words[named[0]]
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    given = [int(part) for part in match.groups() if part is not None]
    try:
        start = datetime(*(given + [1, 1][len(given) - 1 :] if len(given) < 3 else given))  # type: ignore[arg-type]
        match len(given):
            case 1:
                end = start.replace(year=start.year + 1)
            case 2:
                end = (start + timedelta(days=32)).replace(day=1)
            case 3:
                end = start + timedelta(days=1)
            case 4:
                end = start + timedelta(hours=1)
            case 5:
                end = start + timedelta(minutes=1)
            case _:
                end = start + timedelta(seconds=1)
        return start.timestamp(), end.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
