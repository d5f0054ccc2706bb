"""One run: is it learning, will it finish, should I act?"""

from tui.screens.page import Page


class RunScreen(Page):
    """One run."""

    MODE = "runs"
    TITLE = "Run"

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
