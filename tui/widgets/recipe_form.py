"""The form of a recipe: one field a line, edited in place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import Input

from tui.text import clean_line
from tui.widgets.recipe_draft import RecipeDraft
from tui.widgets.recipe_fields import EMPTY, FieldSpec, cycled, field_specs, read_typed, show_field
from tui.widgets.row_list import Cells, RowList, fitted

NAME, PRESET = "name", "preset"
HEAD = ("model", "dataset", PRESET, NAME)
"""The lines on top: what the run is called, and what is picked from lists."""
FIRST = (
    "method",
    "lora_r",
    "num_train_epochs",
    "learning_rate",
    "effective_batch_size",
    "max_length",
    "packing",
    "devices",
)
"""Fields that are changed most: they stand above the groups."""
LABEL_WIDTH = 27
VALUE_AT = LABEL_WIDTH + 3


@dataclass(frozen=True)
class Line:
    """A line of the form: a heading, or a field by its name."""

    field: str = ""
    heading: str = ""


@dataclass(frozen=True)
class Head:
    """What stands beside a field of the head: its words, a note, and the note's tone."""

    value: str = ""
    note: str = ""
    tone: str = "dim"


def form_lines() -> list[Line]:
    """Every line: the head, what is changed most, then the other fields under the names of their groups."""
    lines = [*(Line(name) for name in HEAD), Line(heading="changed most"), *(Line(name) for name in FIRST)]
    group = None
    for spec in field_specs().values():
        if spec.name in HEAD or spec.name in FIRST:
            continue
        if spec.group is not group:
            group = spec.group
            lines.append(Line(heading=group.value))
        lines.append(Line(spec.name))
    return lines


class FormLines(RowList):
    """The lines of a form. Changes are for `RecipeForm` to make."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "edit", id="form.edit", tooltip="Edit the field, or pick from what it can be"),
        Binding("space,right", "cycle(1)", "next choice", id="form.next", show=False, tooltip="The next choice"),
        Binding("left,h", "cycle(-1)", "previous choice", id="form.previous", show=False, tooltip="The choice before"),
        Binding("u,backspace", "reset", "undo", id="form.reset", tooltip="Put the field back to the preset's value"),
    ]

    class Cycled(Message):
        """The next or the previous choice of the field under the cursor is wanted."""

        def __init__(self, places: int) -> None:
            super().__init__()
            self.places = places

    class Reset(Message):
        """The field under the cursor is to go back to where it started."""

    class Typed(Message):
        """A digit was typed on a number: the start of a new one."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, draft: RecipeDraft) -> None:
        super().__init__(id="lines")
        self.draft = draft
        self.lines = form_lines()
        self.head: dict[str, Head] = {}
        self.extra: Mapping[str, str] = {}
        """What is wrong with fields beyond what the recipe itself can tell."""
        self.decided: Mapping[str, str] = {}
        """What the planner made of fields that are `auto`."""
        self.count = len(self.lines)

    @property
    def field(self) -> str:
        """The field under the cursor."""
        return self.lines[self.cursor].field

    @property
    def spec(self) -> FieldSpec | None:
        """The recipe's field under the cursor; `None` on a line of the head."""
        return None if self.field in HEAD else field_specs()[self.field]

    def on_mount(self) -> None:
        self.set_count(len(self.lines))

    def selectable(self, row: int) -> bool:
        return not self.lines[row].heading

    def go_to(self, field: str) -> None:
        """Put the cursor on a field."""
        self.move_to(next(row for row, line in enumerate(self.lines) if line.field == field))

    def cells(self, row: int, width: int) -> Cells:
        line = self.lines[row]
        if line.heading:
            return [(f" {line.heading} ", "dim"), ("─" * max(0, width - len(line.heading) - 3), "dim")]
        problem = self.extra.get(line.field) or self.draft.problems.get(line.field, "")
        if line.field in HEAD:
            head = self.head.get(line.field, Head())
            value, note, tone = head.value, head.note, head.tone
            changed = False
        else:
            spec = field_specs()[line.field]
            changed = self.draft.is_changed(line.field)
            value = show_field(spec, self.draft.values[line.field])
            if line.field in self.decided:
                value += f" → {self.decided[line.field]}"
            note, tone = ("was " + show_field(spec, self.draft.base[line.field]), "dim") if changed else ("", "dim")
        if problem:
            note, tone = f"✗ {problem}", "act"
        mark = ("✱ ", "mark") if changed else ("  ", "")
        room = max(0, width - VALUE_AT - 1)
        value = clean_line(value)
        note_room = min(len(note), room // 2) if note else 0
        shown = fitted(value, min(len(value), room - note_room - 2 if note else room))
        if note:
            shown = fitted(shown, max(len(shown), min(26, room - len(note) - 2)))
        value_tone = "act" if problem else "mark" if changed else "dim" if value == EMPTY else ""
        rest = max(0, room - len(shown) - 2)
        return [
            mark,
            (fitted(line.field, LABEL_WIDTH) + " ", ""),
            (shown, value_tone),
            ("  " + fitted(clean_line(note), rest) if note else "", tone),
        ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "reset":
            return self.spec is not None and self.draft.is_changed(self.field)
        if action == "cycle":
            return self.spec is not None and self.spec.kind in ("choice", "switch")
        return True

    def action_cycle(self, places: int) -> None:
        self.post_message(self.Cycled(places))

    def action_reset(self) -> None:
        self.post_message(self.Reset())

    def on_key(self, event: events.Key) -> None:
        """A digit on a number starts a new number; elsewhere digits go to the modes."""
        spec = self.spec
        character = event.character or ""
        if spec is not None and spec.kind == "number" and character and character in "0123456789.-":
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(character))


class RecipeForm(Container):
    """Fields of a recipe, by group, each edited where it stands. The screen answers for the head and for pick lists."""

    DEFAULT_CSS = """
    RecipeForm {
        layers: lines editor;
        height: 1fr;
        #lines { layer: lines; }
        #editor {
            layer: editor; display: none; height: 1; border: none; padding: 0; background: $panel; color: $foreground;
        }
    }
    """

    class Changed(Message):
        """A field has another value."""

        def __init__(self, field: str) -> None:
            super().__init__()
            self.field = field

    class PickWanted(Message):
        """Enter on a field that is picked from a list, or on a line of the head."""

        def __init__(self, field: str) -> None:
            super().__init__()
            self.field = field

    class Moved(Message):
        """Another field is under the cursor."""

    def __init__(self, draft: RecipeDraft, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.draft = draft
        self._edited = ""

    def compose(self) -> ComposeResult:
        yield FormLines(self.draft)
        yield Input(id="editor", compact=True, select_on_focus=False)

    @property
    def lines(self) -> FormLines:
        return self.query_one(FormLines)

    @property
    def editing(self) -> bool:
        """Whether a field is being edited."""
        return bool(self._edited)

    @on(FormLines.Cycled)
    def _cycle(self, event: FormLines.Cycled) -> None:
        lines = self.lines
        if lines.spec is not None:
            self.change(lines.field, cycled(lines.spec, self.draft.values[lines.field], event.places))

    @on(FormLines.Reset)
    def _reset(self) -> None:
        field = self.lines.field
        self.draft.reset(field)
        self.lines.refresh()
        self.post_message(self.Changed(field))

    @on(RowList.Highlighted)
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        self.post_message(self.Moved())

    @on(RowList.Opened)
    def _opened(self, event: RowList.Opened) -> None:
        event.stop()
        spec = self.lines.spec
        if spec is not None and spec.kind == "switch":
            self._cycle(FormLines.Cycled(1))
        elif spec is None or spec.kind == "choice":
            self.post_message(self.PickWanted(self.lines.field))
        else:
            value = show_field(spec, self.draft.values[spec.name])
            self.edit("" if value == EMPTY else value)

    @on(FormLines.Typed)
    def _typed(self, event: FormLines.Typed) -> None:
        # Digits typed fast, or pasted, still reach the list before the editor has the focus.
        before = self.query_one("#editor", Input).value if self.editing else ""
        self.edit(before + event.text)

    def change(self, field: str, value: object) -> None:
        """Give a field another value."""
        self.draft.set(field, value)
        self.lines.refresh()
        self.post_message(self.Changed(field))

    def edit(self, text: str) -> None:
        """Open the editor on the field under the cursor, with `text` in it."""
        lines = self.lines
        editor = self.query_one("#editor", Input)
        self._edited = lines.field
        editor.display = True
        editor.styles.offset = (VALUE_AT, lines.cursor - int(lines.scroll_offset.y))
        editor.styles.width = max(8, self.size.width - VALUE_AT - 1)
        editor.value = text
        editor.cursor_position = len(text)
        editor.focus()
        self.post_message(self.Moved())

    @on(Input.Submitted, "#editor")
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        self.finish_edit(keep=True)

    @on(events.DescendantBlur)
    def _left(self) -> None:
        if self._edited and self.screen.focused is not self.query_one("#editor"):
            self.finish_edit(keep=True, refocus=False)

    def finish_edit(self, *, keep: bool, refocus: bool = True) -> None:
        """Close the editor; with `keep`, what is in it becomes the field's value."""
        editor = self.query_one("#editor", Input)
        field, self._edited = self._edited, ""
        editor.display = False
        if refocus:
            self.lines.focus()
        if keep and field:
            self.change(field, read_typed(field_specs()[field], editor.value))
        self.post_message(self.Moved())
