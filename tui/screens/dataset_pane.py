"""What the tabs of a dataset's screen share: the dataset, the services, work off the loop through their screen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from textual.containers import Vertical

if TYPE_CHECKING:
    from textual.screen import Screen

    from engine.datasets.versions import Made
    from store.records import Dataset
    from tui.screens.dataset import DatasetScreen
    from tui.services import Services

Found = TypeVar("Found")

BY_ITSELF_ROWS = 20_000
"""Up to so many rows a report and token counts are made without being asked for."""


@dataclass(frozen=True)
class SeenBy:
    """Whose eyes the rows are seen with: a model's tokenizer, a template, a length, what is learnt."""

    model: str = "starter"
    template: str = "own"
    max_length: int = 1024
    assistant_only: bool = True


class DatasetPane(Vertical):
    """One tab. `start` is called once the dataset is known, `opened` each time the tab is shown.

    Keys reach it through its screen: `do_NAME` does what a key named `NAME` asks, `applies(NAME)` says whether it can.
    """

    @property
    def page(self) -> "DatasetScreen":
        return cast("DatasetScreen", self.screen)

    @property
    def services(self) -> "Services":
        return self.page.services

    @property
    def dataset(self) -> "Dataset":
        """The dataset. `RuntimeError` before `start`."""
        found = self.page.current_dataset
        if found is None:
            raise RuntimeError("the dataset has not been read yet")
        return found

    def start(self) -> None:
        """The dataset is known now."""

    def opened(self) -> None:
        """The tab is shown."""

    def applies(self, name: str) -> bool:
        """Whether a key does anything now."""
        return True

    def do(self, name: str) -> None:
        """Do what a key asks."""
        getattr(self, f"do_{name}")()

    def in_thread(
        self,
        read: Callable[[], Found],
        then: Callable[[Found], object] | None = None,
        *,
        group: str,
        title: str | None = None,
        failed: Callable[[Exception], object] | None = None,
    ) -> None:
        """As `Page.in_thread`."""
        self.page.in_thread(read, then, group=group, title=title, failed=failed)

    def open_made(self, made: "Made") -> None:
        """Go to a version that was just made."""
        self.page.open_made(made)

    def ask(self, dialog: "Screen[Any]", then: Callable[[Any], object]) -> None:
        """As `ask`."""
        ask(self.page, dialog, then)


def ask(screen: "Screen[Any]", dialog: "Screen[Any]", then: Callable[[Any], object]) -> None:
    """Push a dialog; `then` hears the answer unless it is none, or no."""

    def answered(answer: Any) -> None:
        if answer is not None and answer is not False:
            then(answer)

    screen.app.push_screen(dialog, answered)
