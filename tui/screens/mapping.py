"""Which column is what? The columns of a file, the fields of a row, and the rows that come of it."""

import asyncio
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from tui.errors import explain
from tui.screens.dialogs import Option, PickDialog
from tui.screens.import_look import Preview, Reading
from tui.text import clean_line, shorten
from tui.widgets.dataset_words import count_words
from tui.widgets.import_preview import problem_lines, row_lines
from tui.widgets.key_bar import KeyBar
from tui.widgets.mapping_lists import FIELDS_OF, SHAPE_WORDS, ColumnRows, FieldRows

if TYPE_CHECKING:
    from engine.datasets.importing import ImportPreview

LOOK_S = 0.15
NO_COLUMN = ""


class MappingScreen(ModalScreen[Reading | None]):
    """Says which column each field is read from. Enter takes it, Esc leaves things as they were (`None`)."""

    CSS_PATH: ClassVar[str | list[str | PurePath]] = "mapping.tcss"
    AUTO_FOCUS = "FieldRows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "take it", id="mapping.take", priority=True, tooltip="Read the file like this"),
        Binding("space,p", "pick", "pick", id="mapping.pick", tooltip="Pick the column from a list"),
        Binding("s", "shape", "shape", id="mapping.shape", tooltip="What the rows are: conversations, pairs, text …"),
        Binding("escape", "cancel", "back", id="dialog.cancel", key_display="esc"),
    ]

    def __init__(self, source: Path | str, found: "ImportPreview", preview: Preview) -> None:
        super().__init__()
        self._source = source
        self._found = found
        self._preview = preview
        self._shape = found.shape if found.shape in FIELDS_OF else "prompt-response"
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        columns = self._found.columns
        yield Static("", id="title", markup=False)
        with Horizontal(id="sides"):
            with Vertical(id="left", classes="panel") as left:
                left.border_title = "columns of the file"
                yield ColumnRows(columns, id="columns")
            with Vertical(id="right", classes="panel") as right:
                right.border_title = "fields of a row"
                yield FieldRows([one.name for one in columns], id="fields")
        with VerticalScroll(id="rows", classes="panel", can_focus=False) as rows:
            rows.border_title = "what comes of it"
            yield Static("", id="converted", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self._show_fields(dict(self._found.mapping))
        self._show_found(self._found)

    @property
    def _fields(self) -> FieldRows:
        return self.query_one(FieldRows)

    @property
    def reading(self) -> Reading:
        """The shape and the columns as they are chosen now."""
        return Reading(self._shape, dict(self._fields.mapping))

    # The fields

    def _show_fields(self, mapping: dict[str, str]) -> None:
        self._fields.show(FIELDS_OF[self._shape], mapping)
        name = shorten(clean_line(PurePath(str(self._source)).name or str(self._source)), 40)
        self.query_one("#title", Static).update(
            Content.assemble(
                (f"Map the columns of {name}", "bold"),
                (f"   {count_words(self._found.rows_total, 'row')} · ", "$text-muted"),
                (self._shape, "bold $text-primary"),
                (f": {SHAPE_WORDS[self._shape]}", "$text-muted"),
            )
        )
        self._show_used()

    def _show_used(self) -> None:
        fields = self._fields
        field = fields.highlighted
        self.query_one(ColumnRows).show_used(fields.mapping, fields.mapping.get(field.name) if field else None)
        self.refresh_bindings()

    @on(FieldRows.Highlighted, "#fields")
    def _highlighted(self) -> None:
        self._show_used()

    @on(FieldRows.Changed)
    def _changed(self) -> None:
        self._show_used()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(LOOK_S, self._look)

    def action_pick(self) -> None:
        """Pick the field's column by typing a part of its name."""
        field = self._fields.highlighted
        if field is None:
            return
        choices = [
            Option(one.name, clean_line(one.name), f"{one.filled:.0%}  {shorten(clean_line(one.example), 40)}")
            for one in self._found.columns
        ]
        choices.append(Option(NO_COLUMN, "no column", f"{field.name} is not there"))
        selected = self._fields.mapping.get(field.name, NO_COLUMN)
        self.app.push_screen(PickDialog(f"The column of {field.name}", choices, selected=selected), self._picked)

    def _picked(self, column: str | None) -> None:
        if column is not None:
            self._fields.put(column or None)

    def action_shape(self) -> None:
        """Pick what the rows are."""
        choices = [Option(shape, shape, words) for shape, words in SHAPE_WORDS.items()]
        self.app.push_screen(PickDialog("What are the rows?", choices, selected=self._shape), self._shape_picked)

    def _shape_picked(self, shape: str | None) -> None:
        if shape is not None and shape != self._shape:
            self._shape = shape
            self._show_fields(dict(self._fields.mapping))
            self._guess(shape)

    @work(exclusive=True, group="look")
    async def _guess(self, shape: str) -> None:
        """Fill in the columns that finetui itself would take for the shape, where it knows some."""
        try:
            found = await asyncio.to_thread(self._preview, self._source, shape)
        except Exception:  # it has none of the usual columns: then they are chosen by hand
            if self.is_running:
                self._look()
            return
        if self.is_running and shape == self._shape:
            self._show_fields({**self._fields.mapping, **found.mapping})
            self._show_found(found)

    # The rows that come of it

    def _look(self) -> None:
        missing = self._fields.missing()
        if missing:
            self.workers.cancel_group(self, "look")
            names = " and ".join(one.name for one in missing)
            words = f"Choose the column of {names}: h and l go through the columns, space lists them."
            self._show_lines([Content(words).stylize("$text-warning")])
            return
        self._read(self.reading)

    @work(exclusive=True, group="look")
    async def _read(self, reading: Reading) -> None:
        read = partial(self._preview, self._source, reading.shape, mapping=reading.mapping)
        try:
            found = await asyncio.to_thread(read)
        except Exception as error:  # shown in the place of the rows
            self._show_lines(problem_lines(explain(error)))
            return
        if self.is_running:
            self._show_found(found)

    def _show_found(self, found: "ImportPreview") -> None:
        width, height = self._room
        lines = []
        if found.problems:
            words = f"✗ {count_words(len(found.problems), 'row')} of the first {found.checked:,} cannot be used: "
            words += clean_line(str(found.problems[0]))
            lines.append(Content(shorten(words, width)).stylize("$text-error"))
        if self._fields.missing():
            self._look()
            return
        self._show_lines([*lines, *row_lines(found.first, width, max(3, height - len(lines)))])

    def _show_lines(self, lines: list[Content]) -> None:
        if self.is_running:
            self.query_one("#converted", Static).update(Content("\n").join(lines))

    @property
    def _room(self) -> tuple[int, int]:
        size = self.query_one("#rows").content_size
        return max(30, (size.width or self.size.width - 4) - 1), max(3, size.height or 8)

    def on_resize(self, _: events.Resize) -> None:
        self.call_after_refresh(self._look)

    # The end

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "take":
            return self.is_mounted and not self._fields.missing()
        return super().check_action(action, parameters)

    def action_take(self) -> None:
        self.dismiss(self.reading)

    def action_cancel(self) -> None:
        self.dismiss(None)
