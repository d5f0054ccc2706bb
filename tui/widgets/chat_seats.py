"""Who answers in a chat: a base model and the adapters of runs. Reads files and the store: call it in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import FinetuiError, NotFound
from tui.text import clean_line
from tui.widgets.lanes import LETTERS

if TYPE_CHECKING:
    from engine.home import Home
    from engine.inference.panes import Pane
    from store import Store
    from store.records import Run

BASE = "base"
"""The key of the base model, where others have a run's id."""
API = "api:"
"""How the keys of models at an endpoint begin; the name of the model there follows."""
MOST_SEATS = 4
LOOK_BACK = 300
"""So many of the newest runs are looked at for adapters."""


@dataclass(frozen=True)
class Seat:
    """One who answers. `pane` is `None` for one that cannot any more; its earlier answers are still shown."""

    key: str
    name: str
    model: str
    """The base model as a person knows it: `starter`, a hub name, a folder's name."""
    pane: "Pane | None" = None
    place: int = 0
    """Its place among the panes of the stored chat."""
    letter: str = ""
    knowledge: str = ""
    """The collection of notes in which passages are looked for before it is asked; empty for none."""

    @property
    def label(self) -> str:
        """`base`, or `A` and the run's name; `base + notes` with notes."""
        label = f"{self.letter} {clean_line(self.name)}".strip()
        return f"{label} + {clean_line(self.knowledge)}" if self.knowledge else label

    @property
    def written(self) -> str:
        """How the model is written everywhere: `base:NAME`, a run's id, or `api:NAME` for one at an endpoint."""
        return f"{BASE}:{self.model}" if self.key == BASE else self.key

    @property
    def color(self) -> str:
        """Its colour as a variable of the theme."""
        return f"$series-{LETTERS.index(self.letter) + 1}" if self.letter else "$foreground"

    @property
    def details(self) -> tuple[str, ...]:
        """What more there is to say, in ever fewer words."""
        if self.pane is None:
            return ("gone; its answers are kept", "gone", "")
        if self.pane.url:
            host = clean_line(self.pane.url).partition("://")[2].partition("/")[0].rpartition("@")[2]
            return (f"at {host}", "api", "")
        held = ", 4-bit" if self.pane.quantised else ""
        model = clean_line(self.model).rstrip("/").rpartition("/")[2]
        if self.key == BASE:
            return (f"{model}{held}", model, "")
        if self.pane.adapter is None:
            return ("whole model, trained in full", "whole model", "")
        return (f"✓ adapter on {model}{held}", "✓ adapter on", "✓", "")


@dataclass(frozen=True)
class Seating:
    """The seats there are, and why others could not be had."""

    seats: list[Seat]
    problems: list[FinetuiError]


def default_seats(store: "Store", home: "Home") -> Seating:
    """The newest run that is over and has an adapter, beside its base; else the starter alone, if it is built."""
    for run in store.runs.list(limit=LOOK_BACK):
        if not run.status.live:
            seats = _seats_of(run)
            if isinstance(seats, list):
                return Seating(lettered(seats), [])
    base = base_seat("starter", home)
    return Seating([base] if isinstance(base, Seat) else [], [])


def seats_for(store: "Store", home: "Home", run_ids: Sequence[str], base: str | None = None) -> Seating:
    """The base model of the first run (or the model `base`), then each run's adapter."""
    seats: list[Seat] = []
    problems: list[FinetuiError] = []
    for run_id in run_ids:
        run = store.runs.get(run_id)
        found = _seats_of(run) if run is not None else NotFound(f"Run {run_id} is gone.")
        if isinstance(found, FinetuiError):
            problems.append(found)
            continue
        seats += found[1:] if seats else found
    if base is not None and (not seats or seats[0].model != base):
        named = base_seat(base, home)
        if isinstance(named, Seat):
            seats = [named, *seats[1:]]
        else:
            problems.append(named)
    return Seating(lettered(seats[:MOST_SEATS]), problems)


def base_seat(model: str, home: "Home") -> Seat | FinetuiError:
    """The seat of a base model alone, or why it cannot be had."""
    from engine.inference.panes import panes_for

    try:
        (pane,) = panes_for([], model, home)
    except FinetuiError as error:
        return error
    return Seat(BASE, BASE, model, pane)


def api_seat(url: str, model: str, key_env: str) -> Seat:
    """The seat of a model at an OpenAI-compatible endpoint. Raises `BadInput` for what is no address."""
    from engine.inference.panes import remote_panes

    (pane,) = remote_panes(url, [model], key_env)
    return Seat(f"{API}{model}", model, model, pane)


def run_seat(run: "Run") -> Seat | FinetuiError:
    """The seat of a run's adapter, or why it cannot be had."""
    seats = _seats_of(run)
    return seats if isinstance(seats, FinetuiError) else seats[1]


def runs_with_adapter(store: "Store") -> "list[Run]":
    """Runs that can take a seat, the newest first."""
    return [run for run in store.runs.list(limit=LOOK_BACK) if isinstance(run_seat(run), Seat)]


def lettered(seats: Sequence[Seat]) -> list[Seat]:
    """The seats with a letter each, the base excepted; one that has a letter keeps it."""
    used = {seat.letter for seat in seats}
    free = iter(letter for letter in LETTERS if letter not in used)
    return [seat if seat.key == BASE or seat.letter else replace(seat, letter=next(free)) for seat in seats]


def _seats_of(run: "Run") -> list[Seat] | FinetuiError:
    from engine.inference.panes import panes_for

    try:
        base, pane = panes_for([run], None)
    except FinetuiError as error:
        return error
    return [Seat(BASE, BASE, run.model, base), Seat(run.id, run.name, run.model, pane)]
