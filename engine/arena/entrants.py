"""Who takes part: models that can answer, and who judges them. Reads files and the store: call it in a thread."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.inference.panes import Pane, panes_for
from engine.models import list_models
from engine.runs.rundir import read_json, write_json
from engine.suites.endpoints import known_endpoints
from engine.suites.seating import BASE, labels_of, panes_of
from store import Store
from store.records import Run
from store.votes import JUDGE, OVERALL, PEOPLE

LOOK_BACK = 300
"""So many of the newest runs are looked at for adapters."""
FIRST_RUNS = 3
"""So many runs take part where nobody says which."""
CRITERIA = (OVERALL, "helpful", "warm", "accurate", "relevant")
"""What is judged by; people add their own."""
LONGEST_NAME = 40


@dataclass(frozen=True)
class Entrant:
    """A model that takes part: `base:NAME`, a run's id or `api:NAME`, what people call it, and what answers for it."""

    model: str
    label: str
    pane: Pane


@dataclass(frozen=True)
class Bench:
    """Who judges, and by what: kept in `arena.json` of the home."""

    voter: str = ""
    """Who voted last; empty before anybody was asked."""
    own_criteria: tuple[str, ...] = ()
    same_are_ties: bool = False
    """Whether two models that say the same get a tie; else such a pair is passed over."""

    @property
    def criteria(self) -> tuple[str, ...]:
        return (*CRITERIA, *self.own_criteria)


def entrants(store: Store, home: Home, models: Sequence[str]) -> list[Entrant]:
    """These models, ready to be asked. Raises `NotFound` for a run that is gone, `BadInput` for one without adapter."""
    names = list(dict.fromkeys(models))
    panes, labels = panes_of(store, home, names), labels_of(store, names)
    return [Entrant(*about) for about in zip(names, labels, panes, strict=True)]


def default_models(store: Store) -> list[str]:
    """The newest runs that have an adapter on one base model, and that base; empty where there is none."""
    runs = [run for run in store.runs.list(limit=LOOK_BACK) if not run.status.live and _can_answer(run)]
    if not runs:
        return []
    alike = [run for run in runs if run.model == runs[0].model][:FIRST_RUNS]
    return [f"{BASE}{alike[0].model}", *(run.id for run in alike)]


def candidates(store: Store, home: Home) -> list[tuple[str, str, str]]:
    """All that could take part: the model, its name, a few words. Base models first, then runs, the newest first, then
    models at an address that was named before."""
    ready = [info for info in list_models(home) if info.ready]
    found = [(f"{BASE}{info.name}", info.name, "base model") for info in ready]
    runs = [run for run in store.runs.list(limit=LOOK_BACK) if _can_answer(run)]
    found += [(run.id, run.name, f"adapter on {run.model}") for run in runs]
    return found + [(one.model, one.name, f"at {one.host}") for one in known_endpoints(home).values()]


def _can_answer(run: Run) -> bool:
    try:
        panes_for([run], None)
    except FinetuiError:
        return False
    return True


def read_bench(home: Home) -> Bench:
    """Who judged last, and their own criteria. What cannot be read counts as nothing."""
    found: Any = read_json(home.root / "arena.json")
    if not isinstance(found, dict):
        return Bench()
    own = found.get("criteria")
    known = [name for name in own if isinstance(name, str)] if isinstance(own, list) else []
    names = tuple(name for name in known if name not in CRITERIA)
    return Bench(str(found.get("voter") or ""), names, found.get("same_are_ties") is True)


def save_bench(home: Home, bench: Bench) -> None:
    about = {"voter": bench.voter, "criteria": list(bench.own_criteria), "same_are_ties": bench.same_are_ties}
    write_json(home.root / "arena.json", about)


def with_criterion(bench: Bench, name: str) -> tuple[Bench, str]:
    """The bench with one more criterion, and its name as it is kept. Raises `BadInput` for what is no name."""
    name = checked_name(name, "criterion").lower()
    return (bench if name in bench.criteria else replace(bench, own_criteria=(*bench.own_criteria, name))), name


def checked_name(name: str, what: str) -> str:
    """A voter's or a criterion's name, tidied. Raises `BadInput`."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name.startswith(JUDGE) or name == PEOPLE:
        raise BadInput(
            f"{name!r} cannot be the name of a {what}.",
            fix=f"Take 1 to {LONGEST_NAME} letters; {PEOPLE!r} and names that begin with {JUDGE!r} have a meaning.",
        )
    return name


def user_name() -> str:
    """What this machine calls whoever is at it; empty where it cannot say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
