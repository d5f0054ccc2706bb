"""The two sides of a mapping: the columns that a file has, and the fields that a row needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.text import clean_line
from tui.widgets.row_list import Cells, RowList, fitted

if TYPE_CHECKING:
    from engine.datasets.importing import ColumnInfo

NOTHING = "–"


@dataclass(frozen=True)
class Field:
    """What a row can have: its name in `--map`, what it is, and whether it must be there."""

    name: str
    about: str
    needed: bool = False
    instead: str = ""
    """Another field that does as well."""


MESSAGES = Field("messages", "the turns, as a list", needed=True)
PROMPT = Field("prompt", "what is asked", needed=True)
CONTEXT = Field("context", "more to the question")
RESPONSE = Field("response", "the answer to learn", needed=True)
SYSTEM = Field("system", "the system prompt")
TOOLS = Field("tools", "tools on offer")
_ASKED = (Field("prompt", "what is asked", instead="messages"), Field("messages", "or the turns before"))
_PAIR = (PROMPT, CONTEXT, RESPONSE, SYSTEM, TOOLS)

FIELDS_OF: dict[str, tuple[Field, ...]] = {
    "prompt-response": _PAIR,
    "messages": (MESSAGES, SYSTEM, TOOLS),
    "text": (Field("text", "plain text to learn", needed=True),),
    "preference": (
        *_ASKED,
        Field("chosen", "the better answer", needed=True),
        Field("rejected", "the worse answer", needed=True),
        SYSTEM,
        TOOLS,
    ),
    "kto": (
        Field("prompt", "what is asked", needed=True, instead="messages"),
        CONTEXT,
        Field("response", "the answer", needed=True, instead="messages"),
        Field("messages", "or all turns, as a list"),
        Field("label", "good or bad", needed=True),
        SYSTEM,
    ),
    "prompts": (Field("prompt", "what is asked", needed=True, instead="messages"), Field("messages", "or the turns")),
    "sharegpt": (MESSAGES, SYSTEM, TOOLS),
    "alpaca": _PAIR,
    "input-output": _PAIR,
}
"""The fields of each shape, in the order in which one fills them in."""

SHAPE_WORDS = {
    "prompt-response": "a question in one column, its answer in another",
    "messages": "whole conversations in one column, as role and content",
    "text": "plain text, learnt from its first word to its last",
    "preference": "two answers to a question, the better and the worse",
    "kto": "an answer, and whether it is good",
    "prompts": "questions alone: to try models on, not to train on",
    "sharegpt": "whole conversations in one column, as from and value",
    "alpaca": "instruction, input and output",
    "input-output": "input and output",
}


class ColumnRows(RowList, can_focus=False):
    """The columns of a file: what each is used for, how many rows fill it, and an example."""

    HEADER_ROWS: ClassVar[int] = 1

    def __init__(self, columns: "Sequence[ColumnInfo]", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.used: Mapping[str, str] = {}
        """The field that is read from each column."""

    def on_mount(self) -> None:
        self.set_count(len(self.columns))

    def show_used(self, mapping: Mapping[str, str], column: str | None) -> None:
        """Say which columns are used, and put the mark on `column`."""
        self.used = {one: field for field, one in mapping.items()}
        names = [one.name for one in self.columns]
        self.move_to(names.index(column) if column in names else self.cursor)

    def header_cells(self, width: int) -> Cells:
        name, example = self._fit(width)
        return [(f" {fitted('column', name)} {'filled':>6}  {fitted('example', example)}", "")]

    def cells(self, row: int, width: int) -> Cells:
        name, example = self._fit(width)
        one = self.columns[row]
        used = one.name in self.used
        return [
            (" ", ""),
            (fitted(clean_line(one.name), name) + " ", "good" if used else ""),
            (f"{one.filled:>6.0%}  ", "look" if used and one.filled < 1 else "dim"),
            (fitted(clean_line(one.example), example), "dim"),
        ]

    def _fit(self, width: int) -> tuple[int, int]:
        longest = max((cell_len(clean_line(one.name)) for one in self.columns), default=6)
        name = max(6, min(longest, width // 2 - 8))
        return name, max(0, width - name - 10)


class FieldRows(RowList):
    """The fields of a shape, and the column that each is read from."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "cycle(1)", "column", id="mapping.next", key_display="h l", tooltip="The next column"),
        Binding("h,left", "cycle(-1)", "column before", id="mapping.previous", show=False),
        Binding("backspace,delete", "clear", "clear", id="mapping.clear", tooltip="Read this field from no column"),
    ]

    class Changed(Message):
        """A field is read from another column."""

    def __init__(self, columns: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.fields: Sequence[Field] = ()
        self.mapping: dict[str, str] = {}

    def show(self, fields: Sequence[Field], mapping: Mapping[str, str]) -> None:
        """Show these fields, read from these columns."""
        self.fields = fields
        names = {field.name for field in fields}
        self.mapping = {field: column for field, column in mapping.items() if field in names}
        self.set_count(len(fields))

    @property
    def highlighted(self) -> Field | None:
        """The field under the cursor."""
        return self.fields[self.cursor] if 0 <= self.cursor < len(self.fields) else None

    def missing(self) -> list[Field]:
        """Fields that a row must have and that are read from no column."""
        return [
            one
            for one in self.fields
            if one.needed and one.name not in self.mapping and one.instead not in self.mapping
        ]

    def put(self, column: str | None) -> None:
        """Read the field under the cursor from `column`, or from none."""
        field = self.highlighted
        if field is None or self.mapping.get(field.name) == column:
            return
        self.mapping = {name: one for name, one in self.mapping.items() if one != column and name != field.name}
        if column is not None:
            self.mapping[field.name] = column
        self.refresh()
        self.post_message(self.Changed())

    def action_cycle(self, places: int) -> None:
        """The next column for the field, and none after the last. Columns of other fields are passed over."""
        field = self.highlighted
        if field is None:
            return
        current = self.mapping.get(field.name)
        taken = {column for name, column in self.mapping.items() if name != field.name}
        choices = [None, *(column for column in self.columns if column not in taken)]
        place = choices.index(current) if current in choices else 0
        self.put(choices[(place + places) % len(choices)])

    def action_clear(self) -> None:
        self.put(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "open":
            return False  # Enter takes the whole mapping
        if action == "clear":
            return self.highlighted is not None and self.highlighted.name in self.mapping
        return super().check_action(action, parameters)

    def cells(self, row: int, width: int) -> Cells:
        field = self.fields[row]
        column = self.mapping.get(field.name)
        lacking = field in self.missing()
        room = max(6, width - 12)
        if column is None:
            words = f"needed: {field.about}" if lacking else f"{NOTHING} {field.about}"
            return [(f" {field.name:<10} ", ""), (fitted(words, room), "look" if lacking else "dim")]
        return [(f" {field.name:<10} ", ""), (fitted(clean_line(column), room), "good")]
