"""What the arena is about: which models, on which prompts, by which criterion, judged by whom."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import BadInput
from tui.screens.arena_feed import ArenaFeed
from tui.screens.chat_choices import AN_API, ApiDialog
from tui.screens.dialogs import Option, PickDialog, TextDialog
from tui.text import clean

if TYPE_CHECKING:
    from engine.arena.entrants import Bench, Entrant
    from engine.arena.matches import Progress, Question
    from store.records import Dataset
    from tui.screens.form_dialog import Values
    from tui.services import Services

SAME_ARE_TIES = "Where both say the same, that is kept as a tie from now on."
SAME_PASSED_OVER = "Where both say the same, they are passed over from now on. Ties that are kept stay."
ANOTHER = "+"
"""Stands for somebody or something that is not in the list yet."""


@dataclass(frozen=True)
class Seated:
    """What is read before the first match."""

    bench: "Bench"
    entrants: "list[Entrant]"
    suite: "Dataset | None"
    questions: "list[Question]"


class ArenaSeating(ArenaFeed):
    """A page with an arena that can be changed by keys."""

    def __init__(self, models: Sequence[str] = (), suite: str = "") -> None:
        super().__init__()
        self._models = tuple(models)
        self._suite = suite
        self._suite_name = ""
        self._seated: Seated | None = None
        self._criterion = "overall"
        self._nameless = False
        """Whether who votes is to be asked once the arena is in front again."""

    def show_words(self) -> None:
        """Show what was chosen, and how far one is."""
        raise NotImplementedError

    def seat(self) -> None:
        """Read who takes part and what is asked, then begin."""
        read = partial(_seated, self.services, self._models, self._suite)
        self.in_thread(read, self._take_seats, group="seats", title="The arena cannot begin", failed=self._refused)

    def _refused(self, error: Exception) -> None:
        from tui.errors import show_error

        show_error(self.app, error, "The arena cannot begin")
        if self._seated is None and (self._models or self._suite):
            self._models, self._suite = (), ""
            self.seat()

    def _take_seats(self, seated: Seated) -> None:
        self._seated = seated
        self._models = tuple(entrant.model for entrant in seated.entrants)
        self._suite_name = seated.suite.name if seated.suite is not None else ""
        if seated.bench.voter:
            self._begin()
        elif self.app.screen is self:
            self._ask_name()
        else:
            self._nameless = True

    def on_screen_resume(self) -> None:
        if self._nameless:
            self._nameless = False
            self._ask_name()

    def _begin(self) -> None:
        from engine.arena.matches import Arena

        if self._seated is None:
            return
        self.entrants = {entrant.model: entrant for entrant in self._seated.entrants}
        who = self._seated.bench.voter
        self.arena = Arena(
            self.services.store,
            self._models,
            self._seated.questions,
            voter=who,
            criterion=self._criterion,
            same_are_ties=self._seated.bench.same_are_ties,
        )
        self.begin_anew()
        self.count()

    def count(self) -> None:
        """Read anew how far one is."""
        if self.arena is not None:
            self.in_thread(self.arena.progress, self._show_progress, group="progress")

    def _show_progress(self, progress: "Progress") -> None:
        self.progress = progress
        self.show_words()

    # Who judges

    def _ask_name(self) -> None:
        from engine.arena.entrants import user_name

        hint = "Votes are kept under this name. Several people can vote: V changes who."
        self.app.push_screen(TextDialog("Who votes?", user_name(), hint=hint), self._named)

    def action_voter(self) -> None:
        """Pick who votes from now on."""
        self.in_thread(self.services.store.votes.voters, self._pick_voter, group="pick")

    def _pick_voter(self, voters: list[str]) -> None:
        from store.votes import JUDGE

        names = [name for name in voters if not name.startswith(JUDGE)]
        choices = [*(Option(name, name) for name in names), Option(ANOTHER, "somebody else", "type a name")]
        now = self._seated.bench.voter if self._seated is not None else None
        self.app.push_screen(PickDialog("Who votes?", choices, selected=now), self._picked_voter)

    def _picked_voter(self, name: str | None) -> None:
        if name == ANOTHER:
            self._ask_name()
        elif name is not None:
            self._named(name)

    def _named(self, name: str | None) -> None:
        from engine.arena.entrants import checked_name

        if name is None or self._seated is None:
            if self.arena is None:
                self.action_back()
            return
        try:
            bench = replace(self._seated.bench, voter=checked_name(name, "voter"))
        except BadInput as error:
            self.notify(clean(str(error)), severity="warning", markup=False)
            self._ask_name()
            return
        self._keep(bench)
        self._begin()

    def _keep(self, bench: "Bench") -> None:
        from engine.arena.entrants import save_bench

        if self._seated is not None:
            self._seated = replace(self._seated, bench=bench)
        save = partial(save_bench, self.services.home, bench)
        self.in_thread(save, group="bench", title="This is not kept for the next time", exclusive=False)

    # By what is judged

    def action_criterion(self, places: int) -> None:
        """The next criterion."""
        if self._seated is not None:
            names = self._seated.bench.criteria
            at = names.index(self._criterion) if self._criterion in names else 0
            self._judge_by(names[(at + places) % len(names)])

    def action_own_criterion(self) -> None:
        """Type a criterion."""
        hint = "Judge by what matters to you: playful, safe, brief."
        self.app.push_screen(TextDialog("By what do you judge?", hint=hint), self._take_criterion)

    def _take_criterion(self, name: str | None) -> None:
        from engine.arena.entrants import with_criterion

        if not name or self._seated is None:
            return
        try:
            bench, kept = with_criterion(self._seated.bench, name)
        except BadInput as error:
            self.notify(clean(str(error)), severity="warning", markup=False)
            return
        self._keep(bench)
        self._judge_by(kept)

    def _judge_by(self, criterion: str) -> None:
        """Judge by this from the match at hand on; what was judged by another may be shown again."""
        self._criterion = criterion
        if self.arena is not None:
            self.arena.criterion = criterion
            self.look_again()
            self.count()

    def action_same(self) -> None:
        """Keep pairs with the same answer twice as ties, or pass them over."""
        if self._seated is None or self.arena is None:
            return
        ties = not self.arena.same_are_ties
        self.arena.same_are_ties = ties
        self._keep(replace(self._seated.bench, same_are_ties=ties))
        self.notify(SAME_ARE_TIES if ties else SAME_PASSED_OVER)
        self.look_again()

    # What is compared

    def action_models(self) -> None:
        """Pick a model to take part, or not any more."""
        from engine.arena.entrants import candidates

        self.in_thread(partial(candidates, self.services.store, self.services.home), self._pick_model, group="pick")

    def _pick_model(self, found: list[tuple[str, str, str]]) -> None:
        def about(model: str, words: str) -> str:
            return f"takes part · {words}" if model in self._models else words

        choices = [*(Option(model, name, about(model, words)) for model, name, words in found), AN_API]
        self.app.push_screen(PickDialog("Who takes part", choices), self._picked_model)

    def _picked_model(self, model: str | None) -> None:
        if model is None:
            return
        if model == AN_API.id:
            self.app.push_screen(ApiDialog(), self._take_endpoint)
            return
        self._models = (
            tuple(one for one in self._models if one != model) if model in self._models else (*self._models, model)
        )
        self.seat()

    def _take_endpoint(self, values: "Values | None") -> None:
        """Keep the address, and have the model there take part."""
        from engine.suites.endpoints import FarModel, keep_endpoint

        if values is None:
            return
        far = FarModel(values["model"], values["url"], values["key_env"])
        keep = partial(keep_endpoint, self.services.home, far)
        self.in_thread(keep, lambda _: self._add(far.model), group="endpoint", exclusive=False)

    def _add(self, model: str) -> None:
        self._models = tuple(dict.fromkeys((*self._models, model)))
        self.seat()

    def action_suite(self) -> None:
        """Pick the prompts that models are compared on."""
        from engine.suites.reading import suite_datasets

        self.in_thread(partial(suite_datasets, self.services.library), self._pick_suite, group="pick")

    def _pick_suite(self, found: "list[Dataset]") -> None:
        from engine.suites.reading import SHIPPED

        choices = [Option(one.id, f"{one.name} v{one.version}", f"{one.rows:,} prompts") for one in found]
        if not any(one.name == SHIPPED for one in found):
            choices.append(Option(SHIPPED, SHIPPED, "twenty prompts that come with finetui"))
        self.app.push_screen(PickDialog("Which prompts", choices, selected=self._suite), self._picked_suite)

    def _picked_suite(self, suite: str | None) -> None:
        if suite is not None:
            self._suite = suite
            self.seat()


def _seated(services: "Services", models: Sequence[str], suite: str) -> Seated:
    """Read it all; call it in a thread. Raises `NotFound`, `BadInput`."""
    from engine.arena.entrants import default_models, entrants, read_bench
    from engine.arena.matches import questions_of
    from engine.suites.reading import find_suite, read_suite

    library = services.library
    found = find_suite(library, suite) if suite else None
    questions = questions_of(read_suite(library, found)) if found is not None else []
    taking_part = entrants(services.store, services.home, models or default_models(services.store))
    return Seated(read_bench(services.home), taking_part, found, questions)
