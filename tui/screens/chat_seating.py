"""Who answers in the chat: the runs one came with, the newest one, and who is added or taken away."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import FinetuiError
from tui.screens.dialogs import Option, PickDialog
from tui.screens.page import Page
from tui.text import clean_line
from tui.widgets.chat_seats import (
    BASE,
    MOST_SEATS,
    Seat,
    Seating,
    base_seat,
    default_seats,
    lettered,
    run_seat,
    runs_with_adapter,
    seats_for,
)
from tui.widgets.run_words import eval_loss_of, state_of

if TYPE_CHECKING:
    from engine.home import Home
    from store import Store


class ChatSeating(Page):
    """A page with seats. What it shows of them is up to the subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.seats: list[Seat] = []
        self._wanted: tuple[str, ...] | None = None
        """Runs somebody asked for, maybe before the services were there."""

    @property
    def busy(self) -> bool:
        """Whether answers are being written."""
        raise NotImplementedError

    @property
    def places(self) -> int:
        """How many places the conversation has given out; 0 before its first turn."""
        raise NotImplementedError

    def begin(self, seats: list[Seat]) -> None:
        """Begin a new conversation with these seats."""
        raise NotImplementedError

    def show_seats(self, seats: list[Seat]) -> None:
        """Go on with these seats."""
        raise NotImplementedError

    def action_stop(self) -> None:
        """End the answers that are being written."""
        raise NotImplementedError

    def focus_prompt(self) -> None:
        """Put the cursor where one writes."""
        raise NotImplementedError

    def show_error(self, error: BaseException, title: str) -> None:
        """Explain a failure, unless this screen is gone."""
        from tui.errors import show_error

        if self.is_running:
            show_error(self.app, error, title)

    def seat_first(self) -> None:
        """Seat who was asked for, else the newest run."""
        if self._wanted is None:
            self.seat_defaults()
        else:
            self._seat_runs(self._wanted)

    def show_runs(self, run_ids: Sequence[str]) -> None:
        """Chat with these runs' adapters beside their base model."""
        ids = tuple(dict.fromkeys(run_ids))
        self._wanted = ids
        if self.finetui.is_ready and self.is_mounted:
            self._seat_runs(ids)

    def _seat_runs(self, run_ids: tuple[str, ...]) -> None:
        if len(run_ids) >= MOST_SEATS:
            self.notify(f"The first {MOST_SEATS - 1} runs answer, beside their base.", severity="warning")
            run_ids = run_ids[: MOST_SEATS - 1]
        if run_ids == tuple(seat.key for seat in self.seats if seat.key != BASE):
            self.focus_prompt()
            return
        self.action_stop()
        read = partial(seats_for, self.services.store, self.services.home, run_ids)
        self.in_thread(read, self._take_seats, group="seats")

    def seat_newest(self) -> None:
        """Runs changed: where nobody answers yet and nobody was asked for, somebody may now."""
        if not self.seats and self._wanted is None:
            self.seat_defaults()

    def seat_defaults(self) -> None:
        """Seat the newest run with an adapter and its base."""
        read = partial(default_seats, self.services.store, self.services.home)
        self.in_thread(read, self._take_seats, group="seats")

    def _take_seats(self, seating: Seating) -> None:
        if seating.problems:
            self.show_error(seating.problems[0], "Not every run can answer")
        if not seating.seats and seating.problems and not self.seats:
            self._wanted = None
            self.seat_defaults()
        elif seating.seats or not self.seats:
            self.begin([replace(seat, place=place) for place, seat in enumerate(seating.seats)])

    def action_add(self) -> None:
        """Pick a run, or a base model where there is none, to answer beside the others."""
        if len(self.seats) >= MOST_SEATS:
            self.notify(f"{MOST_SEATS} models answer at most; ctrl+d takes one away.", severity="warning")
            return
        taken = {seat.key for seat in self.seats}
        read = partial(_choices, self.services.store, self.services.home, taken)
        self.in_thread(read, self._pick, group="pick")

    def _pick(self, choices: list[Option]) -> None:
        if not choices:
            self.notify("No other run has an adapter yet.")
            return
        self.app.push_screen(PickDialog("Who else answers", choices), self._picked)

    def _picked(self, key: str | None) -> None:
        if key is not None:
            read = partial(_seat_of, self.services.store, self.services.home, key)
            self.in_thread(read, self._add_seat, group="seats", title="This model cannot answer")

    def _add_seat(self, seat: Seat) -> None:
        if self.busy:
            return
        if self.places:
            seats = [*self.seats, replace(seat, place=self.places)]
        else:
            seats = [seat, *self.seats] if seat.key == BASE else [*self.seats, seat]
            seats = [replace(one, place=place) for place, one in enumerate(seats)]
        self.show_seats(lettered(seats))

    def action_remove(self) -> None:
        """Pick who does not answer any more. What it said is kept in the history."""
        choices = [Option(seat.key, seat.label, seat.details[0]) for seat in self.seats]
        dialog = PickDialog("Who is taken away", choices, selected=self.seats[-1].key)
        self.app.push_screen(dialog, self._remove_seat)

    def _remove_seat(self, key: str | None) -> None:
        if key is not None:
            self.show_seats([seat for seat in self.seats if seat.key != key])


def _choices(store: "Store", home: "Home", taken: set[str]) -> list[Option]:
    """Who may take a seat: base models where there is none yet, then runs that have an adapter."""
    from engine.models import list_models

    options = []
    if BASE not in taken:
        ready = [info for info in list_models(home) if info.ready]
        options = [Option(f"{BASE}:{info.name}", info.name, "base model") for info in ready]
    for run in runs_with_adapter(store):
        if run.id not in taken:
            loss, _, _ = eval_loss_of(run)
            words = [state_of(run).word, f"eval {loss}" if loss else "", clean_line(run.model)]
            options.append(Option(run.id, run.name, " · ".join(filter(None, words))))
    return options


def _seat_of(store: "Store", home: "Home", key: str) -> Seat:
    """The seat of what was picked. Raises `FinetuiError` where it cannot answer."""
    if key.startswith(f"{BASE}:"):
        found = base_seat(key.removeprefix(f"{BASE}:"), home)
    else:
        run = store.runs.get(key)
        found = run_seat(run) if run is not None else FinetuiError(f"Run {key} is gone.")
    if isinstance(found, FinetuiError):
        raise found
    return found
