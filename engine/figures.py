"""Figures as people read them: short, with units, the same everywhere."""

import math
import time
from datetime import datetime
from typing import Any

NONE = "–"
"""Stands where there is no figure."""


DEEPEST = 8
"""How far into a setting of lists and tables `fmt_setting` looks."""


def fmt_bytes(count: float | None) -> str:
    """Memory in units of 1,024, as GPU makers count: `9.1 GB`."""
    if count is None or not math.isfinite(count):
        return NONE
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def fmt_duration(seconds: float | None) -> str:
    """A span of time by its two largest units: `12 s`, `3 m 05 s`, `1 h 12 m`, `2 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} m {total % 60:02d} s" if total < 600 else f"{total // 60} m"
    if total < 86400:
        return f"{total // 3600} h {total % 3600 // 60:02d} m"
    return f"{total // 86400} d {total % 86400 // 3600} h"


def fmt_number(value: float | None) -> str:
    """A number with four significant digits: `1.038`, `0.01`, `2e-4`, `12,345`; `nan` and `inf` as they are."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10_000:
        return f"{value:,.0f}" if size < 1e9 else f"{value:.3e}"
    if size < 1e-3:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    text = f"{value:.{max(0, 3 - math.floor(math.log10(size)))}f}"
    return text.rstrip("0").rstrip(".") if size < 0.1 else text


def fmt_delta(value: float | None) -> str:
    """A difference with its sign: `-0.11`, `+0.034`."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:+.2f}" if abs(value) >= 0.1 else f"{value:+.3f}"


def fmt_rate(per_s: float | None) -> str:
    """Tokens a second: `8,412`, `97.3`."""
    if per_s is None or not math.isfinite(per_s):
        return NONE
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def fmt_percent(share: float | None) -> str:
    """A share of 0 to 1: `71%`. Never 100 before it is whole."""
    if share is None or not math.isfinite(share):
        return NONE
    return f"{math.floor(share * 100 + 1e-9)}%"


def fmt_count(count: int | None) -> str:
    """A count: `12,345`, `4.1 M`, `1.54 B`."""
    if count is None:
        return NONE
    if count >= 1_000_000_000:
        return f"{count / 1e9:.2f} B"
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count:,}"


def fmt_cost(cost: float | None) -> str:
    """A price in the currency of whoever named it: `0.31`, `12.40`; a small one keeps two digits."""
    if cost is None or not math.isfinite(cost):
        return NONE
    return f"{cost:,.2f}" if cost >= 0.1 or cost == 0 else f"{cost:.2g}"


def fmt_pair(part: float, whole: float | None, between: str = " / ") -> str:
    """A size of a larger one, `9.1 / 80 GB`: without the unit twice where it is the same."""
    first, second = fmt_bytes(part), fmt_bytes(whole)
    return f"{first[:-3] if first[-3:] == second[-3:] else first}{between}{second}"


def fmt_when(timestamp: float | None, now: float | None = None) -> str:
    """A moment as one says it: `10:42`, `yesterday`, `Tue 09:15`, `3 Mar`, `3 Mar 2025`. Local time."""
    if timestamp is None:
        return NONE
    then = datetime.fromtimestamp(timestamp)
    today = datetime.fromtimestamp(time.time() if now is None else now)
    days = (today.date() - then.date()).days
    if days == 0:
        return f"{then:%H:%M}"
    if days == 1:
        return "yesterday"
    if 1 < days < 7:
        return f"{then:%a %H:%M}"
    return f"{then.day} {then:%b}" if then.year == today.year else f"{then.day} {then:%b %Y}"


def fmt_change(value: float | None) -> str:
    """A difference of any size with its sign, in three significant digits: `-0.11`, `+1,240`, `-3e-5`."""
    if value is None or not math.isfinite(value):
        return ""
    if abs(value) >= 1000:
        return f"{value:+,.0f}"
    return f"{value:+.3g}".replace("e-0", "e-") if value else "±0"


def fmt_energy(joules: float | None) -> str:
    """Energy in watt hours: `12 Wh`, `1.42 kWh`."""
    if joules is None or not math.isfinite(joules):
        return NONE
    hours = joules / 3600
    if hours < 1000:
        return f"{hours:.0f} Wh" if hours >= 10 else f"{hours:.2g} Wh"
    return f"{hours / 1000:,.2f} kWh"


def fmt_setting(value: Any, depth: int = 0) -> str:
    """A setting as it was typed: `2e-4`, `0.05`, `3`, `yes`; lists with commas between, those deep within left out."""
    if depth > DEEPEST and isinstance(value, list | tuple | dict):
        return "…"
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        if value == int(value) and abs(value) < 1e6:
            return str(int(value))
        return fmt_number(value) if abs(value) < 1e-3 else f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(fmt_setting(item, depth + 1) for item in value) or NONE
    if isinstance(value, dict):
        return ", ".join(f"{name}: {fmt_setting(item, depth + 1)}" for name, item in value.items()) or NONE
    return str(value)
