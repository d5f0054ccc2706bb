"""A side of a comparison: it shows the runs, and may move the cursor to another of them."""

from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.widget import Widget

if TYPE_CHECKING:
    from typing import Self

    from tui.widgets.lanes import Compared, Eyes


class ComparePane(Widget):
    """One tab. The screen tells it what to show while it is the one at hand, and which run is at the cursor."""

    DEFAULT_CSS = """
    ComparePane { height: 1fr; }
    """
    KEYS_TO: ClassVar[str] = ""
    """The child that takes the keys, as a selector; empty where the pane takes them itself."""

    class Picked(Message):
        """The cursor is to go to another run."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    def show(self, compared: "Compared", eyes: "Eyes") -> None:
        """Show these runs."""
        raise NotImplementedError

    def focus(self, scroll_visible: bool = True) -> "Self":
        if not self.KEYS_TO:
            return super().focus(scroll_visible)
        self.query_one(self.KEYS_TO).focus(scroll_visible)
        return self


def neighbour(compared: "Compared", run_id: str, places: int) -> str:
    """The run so many places further on; at the ends it stays."""
    at = compared.places.get(run_id, 0) + places
    return compared.lanes[max(0, min(at, len(compared.lanes) - 1))].run.id
