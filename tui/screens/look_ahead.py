"""What a launch would do, found out off the loop while the form is filled: the newest question wins.

Two kinds of work. The plan of the recipe as it is now, by what is known already, is made anew at every change. What
takes seconds and is kept (the model's tokenizer, the tokens of each row) is found out once for a model and a dataset,
and goes on while other fields are changed; then the plan is made again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import Cancelled
from tui.screens.page import Page
from tui.widgets.launch_plan import Found, look_up
from tui.widgets.recipe_draft import RecipeDraft

if TYPE_CHECKING:
    from engine.recipe import Recipe
    from engine.runs.preflight import Preflight
    from tui.services import Services

Key = tuple[object, ...]
_READ_BY = ("model", "revision", "trust_remote_code", "chat_template", "assistant_only_loss", "objective")
"""Fields that decide how rows become tokens, beside the dataset."""
_UNREADABLE = {"model", "trust_remote_code", "installation"}
"""Problems with which no tokenizer can be read."""


@dataclass
class _Learning:
    """What is being found out, and whether somebody still wants it."""

    key: Key
    wanted: bool = True


class LookAhead:
    """Asks, and keeps the latest answer in `found`. `show` is called on the loop whenever something is new."""

    def __init__(self, page: Page, draft: RecipeDraft, show: Callable[[], None]) -> None:
        self.found = Found()
        self.working = ""
        """What is being found out that takes a while, in words."""
        self._page = page
        self._draft = draft
        self._show = show
        self._asked = 0
        self._learning: _Learning | None = None
        self._learnt: dict[Key, dict[str, str]] = {}
        """By key: what stood in the way of reading the model's tokenizer."""

    def ask(self) -> None:
        """Find the model and the dataset of the draft, and plan its run."""
        self._asked += 1
        asked, recipe = self._asked, self._draft.recipe()
        read = partial(look_up, self._page.services, dict(self._draft.values), recipe, lambda: asked != self._asked)
        self._page.in_thread(read, partial(self._take, recipe), group="look-up", failed=self._failed)

    def give_up(self) -> None:
        """Nobody looks any more."""
        self._asked += 1
        if self._learning is not None:
            self._learning.wanted = False

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            return
        from tui.errors import show_error

        show_error(self._page.app, error, "The run cannot be planned")

    def _take(self, recipe: "Recipe | None", found: Found) -> None:
        ahead = found.ahead
        if recipe is not None and ahead is not None and ahead.dataset is not None:
            key: Key = (ahead.dataset.id, *(getattr(recipe, name) for name in _READ_BY))
            if key in self._learnt:
                found = replace(found, ahead=replace(ahead, problems=self._learnt[key] | ahead.problems))
            elif ahead.model is not None and ahead.model.ready and not _UNREADABLE & ahead.problems.keys():
                self._learn(key, recipe)
        self.found = found
        self._show()

    # what takes seconds, once

    def _learn(self, key: Key, recipe: "Recipe") -> None:
        if self._learning is not None and self._learning.wanted:
            if self._learning.key == key:
                return
            self._learning.wanted = False
        learning = self._learning = _Learning(key)
        self._page.in_thread(
            partial(_learn, self._page.services, recipe, lambda words: self._hear(learning, words), learning),
            partial(self._learned, learning),
            group="learn",
            failed=partial(self._not_learned, learning),
            exclusive=False,
        )

    def _hear(self, learning: _Learning, words: str) -> None:
        """In the thread."""
        if learning.wanted and self._page.is_running:
            self._page.call_later(self._say, learning, words)

    def _say(self, learning: _Learning, words: str) -> None:
        if learning is self._learning:  # it may be over by now
            self.working = words
            self._show()

    def _learned(self, learning: _Learning, ahead: "Preflight") -> None:
        gate = ahead.gate
        failed = gate is not None and gate.problem and gate.field == "model"
        self._learnt[learning.key] = {"model": gate.problem} if gate is not None and failed else {}
        if learning is not self._learning:
            return
        self._learning, self.working = None, ""
        self._show()
        self.ask()  # other fields may have changed meanwhile

    def _not_learned(self, learning: _Learning, error: Exception) -> None:
        if not isinstance(error, Cancelled):
            self._learnt[learning.key] = {"model": str(error)}
        if learning is self._learning:
            self._learning, self.working = None, ""
            self._show()


def _learn(services: "Services", recipe: "Recipe", heard: Callable[[str], None], learning: _Learning) -> "Preflight":
    from engine.runs.preflight import preflight

    return preflight(services.home, services.store, recipe, progress=heard, cancelled=lambda: not learning.wanted)
