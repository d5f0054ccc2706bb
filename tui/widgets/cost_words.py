"""Costs in words, the same on the screen and on the command line."""

from typing import TYPE_CHECKING

from tui.format import NONE, fmt_cost, fmt_energy

if TYPE_CHECKING:
    from engine.spending import Share, Spending

BY_TITLES = {
    "month": "MONTH",
    "week": "WEEK",
    "day": "DAY",
    "model": "MODEL",
    "dataset": "DATASET",
    "method": "METHOD",
    "tag": "TAG",
    "run": "RUN",
}


def hours(seconds: float) -> str:
    """Time on devices in hours: `0.21`, `12.4`, `1,204`."""
    amount = seconds / 3600
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.1f}" if amount >= 10 else f"{amount:.2f}"


def energy(share: "Share") -> str:
    """The energy, with a sign where it was not measured of all runs."""
    partly = "≥ " if share.energy_j is not None and share.metered < share.runs else ""
    return partly + fmt_energy(share.energy_j)


def amount(value: float | None, currency: str) -> str:
    return NONE if value is None else f"{fmt_cost(value)} {currency}".rstrip()


def what_is_missing(found: "Spending", priced: bool, metered: bool) -> str:
    """What to do where figures are missing; empty where none are."""
    words = []
    if not priced and found.total.cost is None:
        words.append("No run had a price: name what an hour costs under [prices.hour] in settings.toml.")
    if found.total.energy_j is None:
        words.append("No energy was measured: it takes an NVIDIA GPU that tells its power.")
    elif not metered:
        words.append("Set kwh under [prices] in settings.toml to see what the electricity costs.")
    return " ".join(words)
