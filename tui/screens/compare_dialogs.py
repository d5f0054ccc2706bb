"""Questions of a comparison: which columns its table has, and where a report of it goes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from tui.screens.dialogs import Dialog, Option, PickDialog, key_words
from tui.screens.export_dialog import FolderSuggester

if TYPE_CHECKING:
    from engine.reports.writing import Kind

ENDINGS: "dict[str, Kind]" = {".html": "html", ".png": "png", ".points.csv": "curves", ".csv": "csv", ".md": "md"}
"""What the end of a file's name says of its kind; the first that fits."""
ABOUT = (
    "The ending says what it is: .html a page with everything, .png a picture of the curves, .md Markdown for a pull "
    "request, .csv a line a run, .points.csv a line a point. Secrets are left out."
)


class ColumnsDialog(PickDialog):
    """Turns columns on and off, one after the other, while the table behind it shows them. Esc when done."""

    def __init__(
        self, choices: Mapping[str, tuple[str, str]], shown: Sequence[str], toggle: Callable[[str], Sequence[str]]
    ) -> None:
        super().__init__("Columns", ())
        self._known, self._on, self._toggle = choices, list(shown), toggle
        self.choices = self._options()

    def _options(self) -> list[Option]:
        return [
            Option(key, f"{'✓' if key in self._on else ' '} {title}", kind)
            for key, (title, kind) in self._known.items()
        ]

    def take(self, choice: str) -> None:
        """Turn a column on or off; the dialog stays."""
        self._on = list(self._toggle(choice))
        self.choices, self.selected = self._options(), choice
        self._filter(self.query_one(Input).value)


class ReportDialog(Dialog[Path | None]):
    """Asks for the file of a report. Enter takes it, Esc gives `None`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("tab", "complete", "complete", id="export.complete", priority=True),
    ]

    def __init__(self, path: Path, runs: int) -> None:
        super().__init__()
        self.title_text = f"Write a report of {runs} runs"
        self._path = path

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield Input(str(self._path), compact=True, suggester=FolderSuggester(), select_on_focus=False)
            yield Static("", id="problem", markup=False, classes="part fix")
            yield Static(ABOUT, markup=False, classes="part muted")
            keys = key_words(("enter", "write it"), ("tab", "complete a folder"), ("esc", "cancel"))
            yield Static(keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#problem").display = False
        entry = self.query_one(Input)
        entry.cursor_position = 0
        self.call_after_refresh(entry.action_end)  # once there is a width: the end of a long path is what matters

    def action_complete(self) -> None:
        """Take the folder that is suggested."""
        self.query_one(Input).action_cursor_right()

    @on(Input.Submitted)
    async def _take(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        target = Path(text).expanduser()
        if not text:
            return
        if text.endswith("/") or await asyncio.to_thread(target.is_dir):
            target = target / self._path.name
        if kind_of(target) is None:
            problem = self.query_one("#problem", Static)
            problem.update("Give the file one of these endings: " + ", ".join(sorted(ENDINGS)) + ".")
            problem.display = True
            return
        self.dismiss(target)

    def action_cancel(self) -> None:
        self.dismiss(None)


def kind_of(path: Path) -> "Kind | None":
    """What kind of report a file is to be; `None` where its name does not say."""
    name = path.name.lower()
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)


def file_name(names: Sequence[str]) -> str:
    """A name for the report of some runs: `emoji-r8-and-emoji-r16.html`."""
    plain = ["".join(one if one.isalnum() or one in "._-" else "-" for one in name)[:40].strip("-.") for name in names]
    plain = [name or "run" for name in plain]
    if len(plain) > 2:
        plain = [plain[0], f"{len(plain) - 1}-more"]
    return "-and-".join(plain) + ".html"
