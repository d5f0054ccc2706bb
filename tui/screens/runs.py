"""Runs: how are my runs, and which one matters now?"""

from textual.app import ComposeResult
from textual.widgets import Static

from tui.screens.page import Page


class RunsScreen(Page):
    """Every run, live."""

    MODE = "runs"
    TITLE = "Runs"

    def compose_body(self) -> ComposeResult:
        yield Static("")
