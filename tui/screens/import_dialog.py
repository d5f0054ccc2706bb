"""Imports files as a dataset: the path completed while it is typed, the rows shown before anything is kept."""

import asyncio
import shutil
import tempfile
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from tui.errors import explain
from tui.screens.dialogs import Dialog, key_words
from tui.screens.import_look import Asked, Look, Reading, look_at, look_lines
from tui.screens.working import GivenUp, Progress, run_long
from tui.text import clean_line
from tui.widgets.path_candidates import HUB
from tui.widgets.path_input import PAUSE_S, PathInput
from tui.widgets.toggle import Toggle

if TYPE_CHECKING:
    from engine.datasets.library import DatasetLibrary
    from engine.datasets.rows import BadRows
    from store.records import Dataset

SLOW_S = 0.5
"""A look that takes longer says that it is under way."""
FIELD_LINES = 5
OFFER = "import the others without them"
PATH_HINT = "a file, a folder, data/*.jsonl, or hub:NAME"


class ImportDialog(Dialog["Dataset | None"]):
    """Asks for files and what becomes of them. Answers with the dataset, or `None`."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = ["dialogs.tcss", "path_dialog.tcss", "import_dialog.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("tab,down", "app.focus_next", "next field", id="import.next_field"),
        Binding("shift+tab,up", "app.focus_previous", "field before", id="import.previous_field"),
        Binding("ctrl+o", "map", "map columns", id="import.map", priority=True),
        Binding("ctrl+r", "problems", "problems", id="import.problems", priority=True),
    ]

    def __init__(self, library: "DatasetLibrary") -> None:
        super().__init__()
        self.title_text = "Import a dataset"
        self._library = library
        self._look = Look(Asked(""))
        self._reading = Reading()
        self._timer: Timer | None = None
        self._fetched: dict[str, Path] = {}
        """Where the rows of hub names are that were fetched."""
        self._fetched_folders: list[Path] = []
        """Gone when this closes."""

    def compose(self) -> ComposeResult:
        with self.box("-wide", "-path"):
            yield PathInput(placeholder=PATH_HINT)
            with Horizontal(classes="line"):
                yield Static("name", classes="label")
                yield Input(id="name", compact=True, placeholder="by itself: the file's")
            with Horizontal(classes="line"):
                yield Static("validation", classes="label")
                yield Input("10 %", id="share", compact=True, placeholder="none")
                yield Toggle("leave out rows that cannot be used", id="bad")
            with Horizontal(classes="line"):
                yield Static("system", classes="label")
                yield Input(id="system", compact=True, placeholder="system prompt for rows that have none")
            with Horizontal(classes="line"):
                yield Static("only where", classes="label")
                yield Input(id="where", compact=True, placeholder="all rows; or a filter: answer.chars > 20")
            with VerticalScroll(id="preview", can_focus=False):
                yield Static("", id="lines", markup=False)
            yield Static("", classes="keys", markup=False)

    def on_mount(self) -> None:
        self._look_again()
        self._show_keys()

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self._draw_look)

    # The source

    @on(Input.Changed, "#path")
    def _typed(self) -> None:
        self._reading = Reading()

    @on(Input.Changed, "#where")
    def _look_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._look_again)

    @property
    def _path(self) -> PathInput:
        return self.query_one(PathInput)

    def _asked(self) -> Asked:
        text = self._value("path")
        return Asked(text, self._reading, self._value("where").strip(), self._fetched.get(text.strip()))

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value

    @on(PathInput.Typed)
    @work(exclusive=True, group="look")
    async def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        waiting = self.set_timer(SLOW_S, self._show_reading)
        try:
            look = await asyncio.to_thread(look_at, self._asked(), self._library.preview, self._look)
        finally:
            waiting.stop()
        if self.is_running:
            self._show_look(look)

    def _show_reading(self) -> None:
        self.query_one("#preview").display = True
        self.query_one("#lines", Static).update(Content("reading …").stylize("$text-muted"))

    def _show_look(self, look: Look) -> None:
        if not self.is_running:
            return
        self._look = look
        self._path.show(look.found)
        self._draw_look()
        self._show_keys()

    def _draw_look(self) -> None:
        width = max(30, self.query_one("#box").content_size.width - 1)
        lines = look_lines(self._look, width, self._room(self._look))
        self.query_one("#preview").display = bool(lines)
        self.query_one("#lines", Static).update(Content("\n").join(lines))

    def _room(self, look: Look) -> int:
        """Lines for the preview: what the frame, the fields, the candidates and the keys leave of the screen."""
        taken = min(len(look.found), 6) + 1 if look.found else 0
        return max(4, self.app.size.height * 95 // 100 - 2 - FIELD_LINES - 1 - 2 - taken)

    # From the hub

    def _fetch(self, text: str) -> None:
        name = text.removeprefix(HUB).strip()
        folder = Path(tempfile.mkdtemp(prefix=".import-hub-", dir=self._library.home.ensure().datasets))
        self._fetched_folders.append(folder)

        def fetched(path: Path) -> None:
            self._fetched[text] = path
            self._look_again()

        def failed(error: Exception) -> None:
            self._show_look(Look(self._look.asked, problem=explain(error)))

        run_long(
            self, f"Fetching {clean_line(name)} from the hub", partial(_fetch, name, folder), fetched, failed=failed
        )

    # Which column is what

    def action_map(self) -> None:
        """Say which column is what."""
        from tui.screens.mapping import MappingScreen

        look = self._look
        if look.preview is not None and look.source is not None:
            screen = MappingScreen(look.source, look.preview, self._library.preview)
            self.app.push_screen(screen, self._mapped)

    def _mapped(self, reading: Reading | None) -> None:
        if reading is not None:
            self._reading = reading
            self._look_again()

    # The import

    @on(Input.Submitted)
    @on(Toggle.Submitted)
    def _submitted(self, event: Input.Submitted | Toggle.Submitted) -> None:
        event.stop()
        look = self._look
        if look.asked != self._asked():  # typed since: what is shown is not what would be imported
            self._look_again()
        elif look.on_hub:
            self._fetch(look.asked.text)
        elif look.found:
            self._path.take()
        elif look.unsure:
            self.action_map()
        elif look.ready:
            self._import(skip_bad=self.query_one(Toggle).value)

    def _import(self, *, skip_bad: bool) -> None:
        from engine.datasets.rows import BadRows

        def failed(error: Exception) -> None:
            if isinstance(error, BadRows) and not skip_bad:
                self._show_bad_rows(error)
                return
            from tui.errors import show_error

            show_error(self.app, error, "Nothing was imported")

        try:
            options = self._options(skip_bad)
        except Exception as error:  # shown to the user, whatever it is
            failed(error)
            return
        look = self._look
        if look.source is None:
            return
        name = options["name"] or clean_line(PurePath(look.asked.text.rstrip("/.")).name or "the folder")
        work = partial(_import, self._library, look.source, options)
        run_long(self, f"Importing {name}", work, self.dismiss, failed=failed)

    def _options(self, skip_bad: bool) -> dict[str, Any]:
        """What is said to the import. Raises `BadInput` for a share that is no number."""
        look = self._look
        name = self._value("name").strip()
        if not name and look.asked.fetched:  # else it would be called like the folder that it was fetched into
            from engine.datasets.hub import parse_hub_name

            name = parse_hub_name(look.asked.text).title
        return {
            "name": name or None,
            "system": self._value("system").strip() or None,
            "validation": read_share(self._value("share").strip()),
            "where": look.asked.where,
            "skip_bad": skip_bad,
            "shape": look.asked.reading.shape,
            "mapping": look.asked.reading.mapping,
            "origin": look.asked.text.strip() if look.asked.fetched else "",
        }

    def _show_bad_rows(self, error: "BadRows") -> None:
        from tui.screens.reading import problems_dialog

        self._ask_about(problems_dialog("Nothing was imported", error.what, error.problems, error.total, OFFER))

    def _ask_about(self, dialog: "Dialog[bool]") -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._import(skip_bad=True)

        self.app.push_screen(dialog, answered)

    def action_problems(self) -> None:
        """The rows that cannot be used, as far as the preview has looked."""
        from tui.screens.reading import problems_dialog

        preview = self._look.preview
        if preview is None or not preview.problems:
            return
        head = f"Of the first {preview.checked:,} rows these cannot be used:"
        count = len(preview.problems)
        self._ask_about(problems_dialog("Rows with problems", head, preview.problems, count, OFFER))

    def action_cancel(self) -> None:
        self.dismiss(None)

    def on_unmount(self, _: events.Unmount) -> None:
        """Throw away what was fetched; imported rows are kept elsewhere."""
        for folder in self._fetched_folders:
            self.app.run_worker(partial(shutil.rmtree, folder, ignore_errors=True), thread=True, exit_on_error=False)

    def _show_keys(self) -> None:
        look = self._look
        keys: list[tuple[str, str]] = []
        if look.on_hub:
            keys.append(("enter", "fetch it"))
        elif look.found:
            keys += [("enter", "take it"), ("tab", "complete"), ("↑↓", "move")]
        elif look.preview is not None:
            keys.append(("enter", "map columns" if look.unsure else "import"))
            keys += [] if look.unsure else [("^o", "map columns")]
            keys += [("^r", "problems")] if look.preview.problems else []
            keys.append(("tab", "next field"))
        self.query_one(".keys", Static).update(key_words(*keys, ("esc", "cancel")))


def read_share(text: str) -> float:
    """A share as people write it: `10 %`, `10`, `0.1`, and nothing for 0. Raises `BadInput`."""
    from engine.errors import BadInput

    number = text.removesuffix("%").strip()
    try:
        value = float(number) if number else 0.0
    except ValueError as error:
        raise BadInput(f"The validation share {text!r} is not a number.", fix="Give for example 10 %.") from error
    return value / 100 if text.endswith("%") or value >= 1 else value


def _fetch(name: str, folder: Path, progress: Progress, cancelled: GivenUp) -> Path:
    from engine.datasets.hub import fetch_hub, parse_hub_name

    target = folder / parse_hub_name(name).title  # what the card will say that it was imported from
    return fetch_hub(name, target, progress=progress, cancelled=cancelled)


def _import(
    library: "DatasetLibrary", source: Path | str, options: dict[str, Any], progress: Progress, cancelled: GivenUp
) -> "Dataset":
    return library.import_file(source, progress=progress, cancelled=cancelled, **options)
