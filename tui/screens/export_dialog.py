"""Asks where a dataset's rows are to be written."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.screens.dialogs import Dialog, key_words
from tui.widgets.dataset_words import count_words, title_of
from tui.widgets.path_candidates import folders_like

if TYPE_CHECKING:
    from store.records import Dataset

ABOUT = (
    "The ending says the format: .jsonl is one conversation a line, .json an array, .csv a table, .parquet compact and "
    "typed; .gz behind it packs the file. All splits are written, and the file imports again as the same rows."
)


class ExportDialog(Dialog[Path | None]):
    """Asks for a file. Enter takes it, Esc gives `None`; whether it is there already is asked by who writes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("tab", "complete", "complete", id="export.complete", priority=True),
    ]

    def __init__(self, dataset: "Dataset") -> None:
        super().__init__()
        self.title_text = f"Export {title_of(dataset)}, {count_words(dataset.rows, 'row')}"
        stem = "".join(one if one.isalnum() or one in "._-" else "-" for one in dataset.name)
        self._file = f"{stem}-v{dataset.version}.jsonl"

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield Input(self._file, compact=True, suggester=FolderSuggester(), select_on_focus=False)
            yield Static(ABOUT, markup=False, classes="part muted")
            keys = key_words(("enter", "write it"), ("tab", "complete a folder"), ("esc", "cancel"))
            yield Static(keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).action_end()

    def action_complete(self) -> None:
        """Take the folder that is suggested."""
        self.query_one(Input).action_cursor_right()

    @on(Input.Submitted)
    async def _take(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if not text:
            return
        target = Path(text).expanduser()
        is_folder = text.endswith("/") or await asyncio.to_thread(target.is_dir)
        self.dismiss(target / self._file if is_folder else target)

    def action_cancel(self) -> None:
        self.dismiss(None)


class FolderSuggester(Suggester):
    """The first folder that a half-typed path could go on with."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The path with the folder's name completed, or `None`."""
        found = await asyncio.to_thread(partial(folders_like, value))
        return next(iter(found), None)
