"""Who answers in the chat: the runs one came with, the newest one, and who is added or taken away."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tui.screens.chat_choices import SEATED, ApiDialog, choices, placed, seat_from, seat_of, seats_of
from tui.screens.dialogs import Option, PickDialog
from tui.screens.form_dialog import Values
from tui.screens.page import Page
from tui.widgets.chat_seats import API, BASE, MOST_SEATS, Seat, Seating, default_seats, lettered, seats_for

ANOTHER = "another"
"""The choice of one more seat for the base."""


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
        if self._is_full():
            return
        taken = {seat.key for seat in self.seats}
        read = partial(choices, self.services.store, self.services.home, taken)
        self.in_thread(read, self._pick, group="pick")

    def _is_full(self) -> bool:
        if len(self.seats) >= MOST_SEATS:
            self.notify(f"{MOST_SEATS} models answer at most; ctrl+d takes one away.", severity="warning")
        return len(self.seats) >= MOST_SEATS

    def _pick(self, found: list[Option]) -> None:
        self.app.push_screen(PickDialog("Who else answers", found), self._picked)

    def _picked(self, key: str | None) -> None:
        if key == API:
            self._ask_for_api(self._add_seat)
        elif key is not None:
            read = partial(seat_of, self.services.store, self.services.home, key)
            self.in_thread(read, self._add_seat, group="seats", title="This model cannot answer")

    def _ask_for_api(self, then: Callable[[Seat], object]) -> None:
        def filled(values: Values | None) -> None:
            if values is not None:
                then(seat_from(values))

        self.app.push_screen(ApiDialog(), filled)

    def _add_seat(self, seat: Seat) -> None:
        if self.busy:
            return
        if self.places:
            self.show_seats(lettered([*self.seats, replace(seat, place=self.places)]))
        else:
            first = seat.key == BASE and not seat.knowledge
            self.show_seats(placed([seat, *self.seats] if first else [*self.seats, seat]))

    def action_remove(self) -> None:
        """Pick who does not answer any more. What it said is kept in the history."""
        last = str(self.seats[-1].place)
        self.app.push_screen(PickDialog("Who is taken away", self._seat_options(), selected=last), self._remove_seat)

    def _remove_seat(self, place: str | None) -> None:
        if place is not None:
            self.show_seats([seat for seat in self.seats if str(seat.place) != place])

    def _seat_options(self) -> list[Option]:
        """The seats to pick from, by their places."""
        return [Option(str(seat.place), seat.label, seat.details[0]) for seat in self.seats]

    def pick_seats(self, title: str, then: Callable[[list[Seat]], object]) -> None:
        """Pick who answers in a new conversation: those who are seated, or somebody else with their base."""
        seated = [seat for seat in self.seats if seat.pane is not None]

        def show(found: list[Option]) -> None:
            these = Option(SEATED, "those who are seated", ", ".join(seat.label for seat in seated))
            self.app.push_screen(PickDialog(title, [*([these] if seated else []), *found]), picked)

        def picked(key: str | None) -> None:
            if key == SEATED:
                then(placed(seated))
            elif key == API:
                self._ask_for_api(lambda seat: then(placed([seat])))
            elif key is not None:
                read = partial(seats_of, self.services.store, self.services.home, key)
                self.in_thread(read, then, group="seats", title="This model cannot answer")

        self.in_thread(partial(choices, self.services.store, self.services.home, set()), show, group="pick")

    # Notes

    def action_knowledge(self) -> None:
        """Pick who looks in notes before it answers, then the notes. The same key again shows the notes."""
        options = self._seat_options()
        base = next((seat for seat in self.seats if seat.key == BASE and seat.pane is not None), None)
        if base is not None and len(self.seats) < MOST_SEATS:
            options.append(Option(ANOTHER, "the base once more", "with notes, beside the base without"))
        from tui.screens.knowledge_pick import PickAboutNotes

        self.app.push_screen(PickAboutNotes("Who looks in notes", options), self._pick_knowledge)

    def _pick_knowledge(self, place: str | None) -> None:
        if place is None:
            return
        from tui.screens.knowledge_pick import MANAGE, open_notes, pick_knowledge

        if place == MANAGE:
            open_notes(self, self.action_knowledge)
            return
        current = next((seat.knowledge for seat in self.seats if str(seat.place) == place), "")
        pick_knowledge(self, current, partial(self._take_knowledge, place))

    def _take_knowledge(self, place: str, knowledge: str) -> None:
        if place == ANOTHER:
            base = next(seat for seat in self.seats if seat.key == BASE)
            self._add_seat(replace(base, knowledge=knowledge))
            return
        self.show_seats(
            [replace(seat, knowledge=knowledge) if str(seat.place) == place else seat for seat in self.seats]
        )
