"""A tab of a run's screen: what it reads in a thread, and what it makes of that."""

from typing import TYPE_CHECKING, Any, ClassVar

from textual.widget import Widget

if TYPE_CHECKING:
    from typing import Self

    from store.records import Run
    from tui.services import Services


class RunPane(Widget):
    """Shows one side of a run. The screen asks it to `read` while it is the tab at hand, and when the run changed.

    A pane keeps its cursor and its scroll while it is shown anew. What `read` returns may be `None` where nothing is
    new since the last `show`; the pane knows what to make of it.
    """

    DEFAULT_CSS = """
    RunPane { height: 1fr; }
    """
    KEYS_TO: ClassVar[str] = ""
    """The child that takes the keys once the tab is opened, as a selector; empty where the pane takes them itself."""

    def read(self, services: "Services", run: "Run") -> Any:
        """What is to be shown, from the store and the run's folder. Called in a thread: touches no widget."""
        raise NotImplementedError

    def show(self, found: Any) -> None:
        """Show what `read` returned. Called on the loop."""
        raise NotImplementedError

    @property
    def taker(self) -> Widget:
        """The widget that takes the keys."""
        return self.query_one(self.KEYS_TO) if self.KEYS_TO else self

    def focus(self, scroll_visible: bool = True) -> "Self":
        if not self.KEYS_TO:
            return super().focus(scroll_visible)
        self.taker.focus(scroll_visible)
        return self

    def on_show(self) -> None:
        if self.KEYS_TO and not self.has_focus_within:
            self.focus()
