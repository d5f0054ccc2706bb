"""What runs cost over a period: hours on devices, energy and money, by month, model, dataset or tag."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.errors import BadInput
from engine.prices import Prices
from engine.runs.cost import count_of
from store import Store, quantities
from store.records import Spent

BY: dict[str, Callable[[Spent], Iterable[str]]] = {
    "month": lambda run: [f"{datetime.fromtimestamp(run.started):%Y-%m}"],
    "week": lambda run: [f"{datetime.fromtimestamp(run.started):%G-W%V}"],
    "day": lambda run: [f"{datetime.fromtimestamp(run.started):%Y-%m-%d}"],
    "model": lambda run: [run.model],
    "dataset": lambda run: [run.dataset],
    "method": lambda run: [run.method],
    "tag": lambda run: run.tags or ["no tag"],
    "run": lambda run: [run.name],
}
"""What runs may be put together by. One of several tags counts for each of them."""

IN_TIME = ("month", "week", "day")


@dataclass(frozen=True)
class Share:
    """What some runs took together. `None` is not known of any of them."""

    name: str
    runs: int
    device_s: float
    """Seconds on devices: those of two at a time count twice."""
    energy_j: float | None
    electricity: float | None
    """Price of the energy."""
    cost: float | None
    """Price of the devices, as the runs' recipes name it."""
    metered: int
    """Of how many of the runs the energy is known."""


@dataclass(frozen=True)
class Spending:
    """`shares` is newest first by time, else dearest first; `total` counts every run once."""

    by: str
    shares: list[Share]
    total: Share


def spending(
    store: Store,
    prices: Prices,
    *,
    by: str = "month",
    query: str = "",
    since: float | None = None,
    until: float | None = None,
) -> Spending:
    """What the runs cost that match `query` and began from `since` to before `until` (unix seconds).

    Raises `BadInput` for another `by` than `BY` has, `QueryError` for a filter that is not understood.
    """
    if by not in BY:
        raise BadInput(f"Costs cannot be put together by {by!r}.", fix=f"Take one of: {', '.join(BY)}.")
    end = time.time() + 86_400 if until is None else until
    found = [run for run in store.spending.of(store.runs.order(query)) if (since or 0.0) <= run.started < end]
    groups: dict[str, list[Spent]] = {}
    for run in found:
        for name in BY[by](run):
            groups.setdefault(name, []).append(run)
    shares = [_share(name, runs, prices) for name, runs in groups.items()]
    if by in IN_TIME:
        shares.sort(key=lambda one: one.name, reverse=True)
    else:
        shares.sort(key=lambda one: (one.cost or 0.0, one.electricity or 0.0, one.device_s), reverse=True)
    return Spending(by, shares, _share("all", found, prices))


def beginning(text: str, now: float) -> float:
    """The moment from which `text` counts: `30d` ago, `today`, `2026-11`. Raises `BadInput` for another text."""
    ago = quantities.age(text)
    if ago is not None:
        return now - ago
    period = quantities.period(text, now)
    if period is None:
        raise BadInput(f"{text!r} is no time.", fix="Write for example 30d, today, last-month, 2026-11 or 2026-11-21.")
    return period[0]


def _share(name: str, runs: Sequence[Spent], prices: Prices) -> Share:
    energy = [run.energy_j for run in runs if run.energy_j is not None]
    costs = [run.cost for run in runs if run.cost is not None]
    joules = sum(energy) if energy else None
    return Share(
        name,
        len(runs),
        sum(run.busy_s * count_of(run.devices) for run in runs),
        joules,
        prices.of_energy(joules),
        sum(costs) if costs else None,
        len(energy),
    )
