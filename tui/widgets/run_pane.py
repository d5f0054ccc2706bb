"""A tab of a run's screen: what it reads in a thread, and what it makes of that."""

from typing import TYPE_CHECKING, Any

from textual.widget import Widget

if TYPE_CHECKING:
    from store.records import Run
    from tui.services import Services


class RunPane(Widget):
    """Shows one side of a run. The screen asks it to `read` while it is the tab at hand, and when the run changed.

    A pane keeps its cursor and its scroll while it is shown anew.
    """

    DEFAULT_CSS = """
    RunPane { height: 1fr; }
    """

    def read(self, services: "Services", run: "Run") -> Any:
        """What is to be shown, from the store and the run's folder. Called in a thread: touches no widget."""
        raise NotImplementedError

    def show(self, found: Any) -> None:
        """Show what `read` returned. Called on the loop."""
        raise NotImplementedError
