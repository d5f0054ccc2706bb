"""What a sweep would come to, before it is started: how many runs, about how long, and what stands in its way."""

from dataclasses import dataclass
from typing import Any

from engine.home import Home
from engine.recipe import recipe_problems
from engine.runs.preflight import Preflight, preflight, require
from engine.sweeps.spec import SweepSpec
from store import Store


@dataclass(frozen=True)
class Outlook:
    """Runs in all, and seconds for all of them one after the other; `None` where a run's time is not known."""

    runs: int
    time_s: float | None
    speed_source: str = ""


def look_ahead(home: Home, store: Store, spec: SweepSpec) -> Outlook:
    """Plan the runs at the ends of what is varied, with each model and dataset. Raises `CannotLaunch`.

    A trial in between that cannot be launched fails by itself, and the sweep goes on.
    """
    found = [preflight(home, store, spec.recipe_of(params), count=False) for params in _ends(spec)]
    for one in found:
        require(one, force=True)  # a corner that does not fit is a trial that fails, not a sweep that cannot work
    require(min(found, key=_bytes))
    estimates = [one.plan.estimate for one in found if one.plan]
    times = [one.time_s for one in estimates if one.time_s is not None]
    mean = sum(times) / len(times) if times else None
    source = estimates[0].speed_source if estimates else ""
    return Outlook(spec.total, None if mean is None else mean * spec.total, source)


def _ends(spec: SweepSpec) -> list[dict[str, Any]]:
    """All fields at their first candidate, all at their last, and each model and dataset once."""
    first = {name: axis.corners[0] for name, axis in spec.search.items()}
    last = {name: axis.corners[-1] for name, axis in spec.search.items()}
    found = [first] if recipe_problems(spec.recipe | last) else [first, last]
    for name in ("model", "dataset"):
        if name in spec.search:
            found += [first | {name: value} for value in spec.search[name].corners[1:]]
    return found


def _bytes(found: Preflight) -> int:
    memory = found.plan.estimate.memory if found.plan else None
    return memory.total if memory else 0
