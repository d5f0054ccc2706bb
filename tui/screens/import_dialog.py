"""Imports a file as a dataset: the path completed while it is typed, the rows shown before anything is kept."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.errors import explain
from tui.screens.dialogs import Dialog
from tui.text import clean_line, shorten
from tui.widgets.conversation_preview import turn_lines
from tui.widgets.gauge import styled_bar
from tui.widgets.path_candidates import Candidate, candidates, common_start

if TYPE_CHECKING:
    from engine.datasets.importing import ImportPreview
    from engine.datasets.library import DatasetLibrary
    from engine.datasets.rows import BadRows
    from store.records import Dataset

LOOK_S = 0.12
PROGRESS_S = 0.1
SHOWN_ROWS = 3


class Cancelled(Exception):
    """The import was given up; nothing was kept."""


@dataclass(frozen=True)
class Look:
    """What a typed path leads to."""

    text: str
    found: list[Candidate] = field(default_factory=list)
    is_file: bool = False
    preview: "ImportPreview | None" = None
    problem: tuple[str, str, str] | None = None


class ImportDialog(Dialog["Dataset | None"]):
    """Asks for a file and what becomes of it. Answers with the dataset, or `None`."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = ["dialogs.tcss", "import_dialog.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("tab", "complete", "complete", id="import.complete", priority=True),
        Binding("shift+tab", "field(-1)", "field before", id="import.previous_field", priority=True),
        Binding("down", "down(1)", "down", id="import.down", priority=True),
        Binding("up", "down(-1)", "up", id="import.up", priority=True),
        Binding("ctrl+o", "problems", "problems", id="import.problems", priority=True),
    ]
    FIELDS = ("path", "name", "share", "system")

    def __init__(self, library: "DatasetLibrary") -> None:
        super().__init__()
        self.title_text = "Import a dataset"
        self._library = library
        self._look = Look("")
        self._timer: Timer | None = None
        self._progress: float | None = None
        self._given_up = False

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            with Horizontal(classes="line"):
                yield Static("file", classes="label")
                yield Input(id="path", compact=True, placeholder="path of a .jsonl or .json file, also gzipped")
            listing = OptionList(id="candidates", markup=False)
            listing.can_focus = False
            yield listing
            for name, label, value, hint in (
                ("name", "name", "", "by itself: the file's"),
                ("share", "validation", "10 %", "share of the rows kept back to evaluate on"),
                ("system", "system", "", "system prompt for rows that have none"),
            ):
                with Horizontal(classes="line"):
                    yield Static(label, classes="label")
                    yield Input(value, id=name, compact=True, placeholder=hint)
            yield Static("", id="preview", markup=False)
            yield Static("", classes="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#preview").styles.max_height = max(4, self.app.size.height * 9 // 10 - 11)
        self._look_at("")
        self._show_keys()

    # The path

    @on(Input.Changed, "#path")
    def _typed(self, event: Input.Changed) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(LOOK_S, partial(self._look_at, event.value))

    @work(exclusive=True, group="look")
    async def _look_at(self, text: str) -> None:
        look = await asyncio.to_thread(look_at, text, self._library.preview)
        if self.is_running:
            self._show_look(look)

    def _show_look(self, look: Look) -> None:
        self._look = look
        listing = self.query_one("#candidates", OptionList)
        listing.clear_options()
        room = self.query_one("#box").size.width - 22
        for one in look.found:
            label = shorten(clean_line(one.label), room)
            detail = (f"  {shorten(one.detail, max(0, room - len(label) - 2))}", "$text-muted")
            listing.add_option(Option(Content.assemble(label, detail)))
        listing.display = bool(look.found) and not look.is_file
        if look.found:
            listing.highlighted = 0
        preview = self.query_one("#preview", Static)
        content = _look_content(look, self.query_one("#box").size.width - 6)
        preview.update(content)
        preview.display = bool(content.plain)
        self._show_keys()

    def action_complete(self) -> None:
        """Complete the path as far as it is certain; else take the marked one; else go to the next field."""
        path = self.query_one("#path", Input)
        if not path.has_focus or self._look.is_file or not self._look.found:
            self.action_field(1)
            return
        shared = common_start(self._look.found, path.value) if path.value else ""
        self._put(shared if len(shared) > len(path.value) else self._marked().text)

    def _marked(self) -> Candidate:
        return self._look.found[self.query_one("#candidates", OptionList).highlighted or 0]

    def _put(self, text: str) -> None:
        path = self.query_one("#path", Input)
        path.value = text
        path.cursor_position = len(text)
        if self._timer is not None:
            self._timer.stop()
        self._look_at(text)

    def action_down(self, rows: int) -> None:
        """Another candidate while the path is typed; else another field."""
        listing = self.query_one("#candidates", OptionList)
        if self.query_one("#path").has_focus and listing.display:
            listing.highlighted = ((listing.highlighted or 0) + rows) % len(self._look.found)
        else:
            self.action_field(rows)

    def action_field(self, places: int) -> None:
        focused = self.focused.id if self.focused else None
        place = self.FIELDS.index(focused) if focused in self.FIELDS else -places
        self.query_one(f"#{self.FIELDS[(place + places) % len(self.FIELDS)]}").focus()

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._put(self._look.found[event.option_index].text)

    # The import

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        path = self.query_one("#path", Input).value
        if self._progress is not None or path != self._look.text:
            return
        if self._look.is_file:
            if self._look.problem is None:
                self._import(skip_bad=False)
        elif self._look.found:
            self._put(self._marked().text)

    @work(exclusive=True, group="import")
    async def _import(self, *, skip_bad: bool) -> None:
        from engine.datasets.rows import BadRows

        self._given_up = False
        self._set_progress(0.0)
        try:
            run = partial(self._import_file, self._values(), skip_bad)
            dataset = await asyncio.to_thread(run)
        except Cancelled:
            self._set_progress(None)
        except BadRows as error:
            self._set_progress(None)
            self._show_bad_rows(error)
        except Exception as error:  # shown to the user, whatever it is
            from tui.errors import show_error

            self._set_progress(None)
            show_error(self.app, error, "Nothing was imported")
        else:
            self.dismiss(dataset)

    def _values(self) -> dict[str, str]:
        return {name: self.query_one(f"#{name}", Input).value.strip() for name in self.FIELDS}

    def _import_file(self, values: dict[str, str], skip_bad: bool) -> "Dataset":
        """In a thread."""
        import time

        shown = time.monotonic()

        def progress(share: float) -> None:
            nonlocal shown
            if self._given_up:
                raise Cancelled
            if time.monotonic() - shown >= PROGRESS_S:
                shown = time.monotonic()
                self.app.call_from_thread(self._set_progress, share)

        return self._library.import_file(
            Path(values["path"]).expanduser(),
            name=values["name"] or None,
            system=values["system"] or None,
            validation=read_share(values["share"]),
            skip_bad=skip_bad,
            progress=progress,
        )

    def _set_progress(self, share: float | None) -> None:
        if not self.is_running:
            return
        self._progress = share
        self._show_keys()

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
        """Give an import up; else close."""
        if self._progress is not None:
            self._given_up = True
        else:
            self.dismiss(None)

    def on_unmount(self, _: events.Unmount) -> None:
        self._given_up = True

    def _show_keys(self) -> None:
        line = self.query_one(".keys", Static)
        if self._progress is not None:
            bar = styled_bar(self._progress, 30)
            line.update(Content.assemble("importing  ", bar, f"  {self._progress:.0%}   ", *_key("esc", "give up")))
            return
        look = self._look
        keys: list[tuple[str, str]] = []
        if look.is_file and look.problem is None:
            keys.append(("enter", "import"))
            if look.preview is not None and look.preview.problems:
                keys.append(("^o", "problems"))
            keys.append(("tab", "next field"))
        elif look.found:
            keys += [("enter", "take it"), ("tab", "complete"), ("↑↓", "move")]
        keys.append(("esc", "cancel"))
        line.update(Content.assemble(*(part for key, words in keys for part in _key(key, words))))


OFFER = "import the others without them"


def look_at(text: str, preview: "Callable[[Path], ImportPreview]") -> Look:
    """Follow a typed path: the rows of a file, or what the path could become. Reads files: use it from a thread."""
    from engine.runs.backends.local import SAMPLES

    try:
        path = Path(text).expanduser()
        if text and path.is_file():
            return Look(text, is_file=True, preview=preview(path))
        found = candidates(text, SAMPLES)
    except Exception as error:  # shown in the place of the preview
        return Look(text, is_file=True, problem=explain(error))
    return Look(text, found)


def read_share(text: str) -> float:
    """A share as people write it: `10 %`, `10`, `0.1`, and nothing for 0. Raises `BadInput`."""
    from engine.errors import BadInput

    number = text.removesuffix("%").strip()
    try:
        value = float(number) if number else 0.0
    except ValueError as error:
        raise BadInput(f"The validation share {text!r} is not a number.", fix="Give for example 10 %.") from error
    return value / 100 if text.endswith("%") or value >= 1 else value


def _look_content(look: Look, width: int) -> Content:
    if look.problem is not None:
        what, why, fix = look.problem
        parts = [Content.assemble((f"✗ {clean_line(what)}", "$text-error"))]
        parts += [Content(clean_line(why)).stylize("$text-muted")] if why else []
        parts += [Content(clean_line(fix))] if fix else []
        return Content("\n").join(parts)
    preview = look.preview
    if preview is None:
        if look.found or not look.text:
            return Content("")
        return Content.assemble(("nothing of that name: a .jsonl or .json file is wanted", "$text-warning"))
    mapping = ", ".join(f"{key} from {value}" for key, value in preview.mapping.items() if key != "metadata")
    rows = f"{preview.rows_total:,} {'row' if preview.rows_total == 1 else 'rows'}"
    mapping = shorten(mapping, max(20, width - len(rows) - len(preview.shape) - 10))
    shape = f" · {preview.shape} · "
    lines = [Content.assemble(("✓ ", "$text-success"), (rows, "bold"), shape, (mapping, "$text-muted"))]
    if preview.problems:
        many = "20 or more" if len(preview.problems) >= 20 else str(len(preview.problems))
        first = shorten(clean_line(str(preview.problems[0])), max(20, width - 40))
        lines.append(
            Content.assemble((f"✗ {many} of the first {preview.checked:,} cannot be used: ", "$text-error"), first)
        )
    for row in preview.first[:SHOWN_ROWS]:
        turns = turn_lines(row.messages, width - 7)
        labels = [f"row {row.index + 1}".ljust(7), *[" " * 7] * (len(turns) - 1)]
        lines += [Content.assemble((label, "$text-muted"), turn) for label, turn in zip(labels, turns, strict=True)]
    return Content("\n").join(lines)


def _key(key: str, words: str) -> list[tuple[str, str]]:
    return [(key, "bold $footer-key-foreground"), (f" {words}   ", "")]
