"""Changes one row: its turns one at a time, their roles, its verdict."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static, TextArea

from tui.screens.dialogs import Dialog, key_words
from tui.text import clean, clean_line, shorten
from tui.widgets.conversation_preview import ROLE_STYLES

if TYPE_CHECKING:
    from engine.datasets.rows import Row, Turn

ROLES = ("system", "user", "assistant", "tool")
PARTS = ("messages", "chosen", "rejected")


@dataclass
class Draft:
    """A turn as it is being written."""

    part: str
    turn: "Turn"
    role: str
    shown: str
    """The text as it was put into the editor, without control characters."""
    text: str

    def made(self) -> "Turn | None":
        """The turn as it is to be kept; `None` for one that was emptied."""
        if self.text == self.shown:
            return replace(self.turn, role=self.role)
        if not self.text.strip() and not self.turn.calls:
            return None
        return replace(self.turn, role=self.role, content=self.text)


class EditRow(Dialog["Row | None"]):
    """The turns on the left, the words of one of them on the right."""

    DEFAULT_CSS = """
    EditRow #editor { height: 1fr; }
    EditRow #turns { width: 30; height: 1fr; padding: 0 1 0 0; }
    EditRow.-narrow #turns { width: 18; }
    EditRow TextArea, EditRow TextArea:focus {
        width: 1fr; height: 1fr; border: none; padding: 0 1; background: $panel;
    }
    EditRow #said { height: 1; color: $text-warning; }
    EditRow .keys { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel", priority=True),
        Binding("ctrl+s", "save", "keep", id="edit.save", priority=True),
        Binding("tab", "turn(1)", "next turn", id="edit.next", priority=True),
        Binding("shift+tab", "turn(-1)", "previous turn", id="edit.previous", priority=True),
        Binding("ctrl+r", "role", "role", id="edit.role", priority=True),
        Binding("ctrl+n", "add", "add a turn", id="edit.add", priority=True),
        Binding("ctrl+l", "flip", "flip", id="edit.flip", priority=True),
    ]

    def __init__(self, row: "Row", *, total: int, at: int = 0) -> None:
        super().__init__()
        self.title_text = f"Edit row {row.index + 1:,} of {total:,}"
        self.row = row
        self.drafts = [_draft(part, turn) for part in PARTS for turn in getattr(row, part)]
        self.label = row.label
        self.at = min(at, len(self.drafts) - 1)
        self._warned = False

    def compose(self) -> ComposeResult:
        keys = [("ctrl+s", "keep"), ("tab", "next turn"), ("ctrl+r", "role"), ("ctrl+n", "add a turn")]
        if self.label is not None:
            keys.append(("ctrl+l", "good or bad"))
        elif self.row.chosen:
            keys.append(("ctrl+l", "swap chosen and rejected"))
        with self.box():
            with Horizontal(id="editor"):
                yield Static("", id="turns", markup=False)
                yield TextArea("", show_line_numbers=False, tab_behavior="focus")
            yield Static("", id="said", markup=False)
            yield Static(key_words(*keys, ("esc", "cancel")), classes="keys", markup=False)

    def on_mount(self) -> None:
        box = self.query_one("#box").styles
        box.width, box.height, box.max_height, box.padding = "95%", "94%", "94%", (0, 1)
        self.query_one(TextArea).focus()
        self._open(self.at)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < 100, "-narrow")
        self._show_turns()

    def _open(self, at: int) -> None:
        self.at = at
        area = self.query_one(TextArea)
        area.load_text(self.drafts[at].text)
        area.move_cursor(area.document.end)
        self._show_turns()

    def _keep_text(self) -> None:
        self.drafts[self.at].text = self.query_one(TextArea).text

    def _show_turns(self) -> None:
        width = 16 if self.has_class("-narrow") else 28
        lines: list[Content] = []
        part = "messages"
        for number, draft in enumerate(self.drafts):
            if draft.part != part:
                part = draft.part
                lines.append(Content(f"── {part} ──").stylize("$text-muted"))
            mark = "▸ " if number == self.at else "  "
            changed = " ✎" if draft.made() != draft.turn else ""
            lines.append(Content.assemble(mark, (draft.role, ROLE_STYLES.get(draft.role, "bold")), changed))
            words = shorten(clean_line(draft.text[:200]), width - 2) or "(empty: is left out)"
            lines.append(Content.assemble("  ", (words, "$text-muted")))
        if self.label is not None:
            lines.append(Content(f"\nlabel  {'✓ good' if self.label else '✗ bad'}"))
        self.query_one("#turns", Static).update(Content("\n").join(lines))

    def _say(self, words: str) -> None:
        self.query_one("#said", Static).update(words)

    def action_turn(self, places: int) -> None:
        self._keep_text()
        self._open((self.at + places) % len(self.drafts))

    def action_role(self) -> None:
        """The next role; plain text has none to choose."""
        draft = self.drafts[self.at]
        if draft.role not in ROLES:
            self._say("This row is plain text; it has no roles.")
            return
        self._keep_text()
        draft.role = ROLES[(ROLES.index(draft.role) + 1) % len(ROLES)]
        self._show_turns()

    def action_add(self) -> None:
        """A new turn after this one, by whose turn it is."""
        draft = self.drafts[self.at]
        if draft.role not in ROLES:
            self._say("This row is plain text; it has one turn.")
            return
        self._keep_text()
        role = "assistant" if draft.role in ("user", "tool") else "user"
        turn = replace(draft.turn, role=role, content="", calls="")
        self.drafts.insert(self.at + 1, Draft(draft.part, turn, role, "", ""))
        self._open(self.at + 1)

    def action_flip(self) -> None:
        """Turn the verdict round: of an answer, or of a pair."""
        self._keep_text()
        if self.label is not None:
            self.label = not self.label
        elif self.row.chosen:
            others = {"chosen": "rejected", "rejected": "chosen"}
            for draft in self.drafts:
                draft.part = others.get(draft.part, draft.part)
            self.drafts.sort(key=lambda draft: PARTS.index(draft.part))
            self._open(self.at)
        self._show_turns()

    def made(self) -> "Row":
        """The row as it stands in the dialog."""
        parts: dict[str, tuple[Turn, ...]] = {
            part: tuple(turn for draft in self.drafts if draft.part == part and (turn := _kept(draft)) is not None)
            for part in PARTS
        }
        return replace(
            self.row,
            messages=parts["messages"],
            chosen=parts["chosen"],
            rejected=parts["rejected"],
            label=self.label,
        )

    def action_save(self) -> None:
        """Hand the row back, unless nothing is left of it."""
        self._keep_text()
        row = self.made()
        if missing := _missing(self.row, row):
            self._say(missing)
            return
        self.dismiss(row)

    def action_cancel(self) -> None:
        """Close; what was changed is thrown away at the second Esc only."""
        self._keep_text()
        if self.made() != self.row and not self._warned:
            self._warned = True
            self._say("Esc again throws your changes to this row away; ctrl+s keeps them.")
            return
        self.dismiss(None)


def _draft(part: str, turn: "Turn") -> Draft:
    shown = clean(turn.content)
    return Draft(part, turn, turn.role, shown, shown)


def _kept(draft: Draft) -> "Turn | None":
    added = not draft.turn.content and not draft.turn.calls and not draft.shown
    return None if added and not draft.text.strip() else draft.made()


def _missing(before: "Row", after: "Row") -> str:
    """What a row must have and has not any more; empty where all is there."""
    if before.chosen and not (after.chosen and after.rejected):
        return "A pair needs both answers. Drop the row with x instead."
    if not after.messages and not after.chosen:
        return "A row needs a turn. Drop it with x instead."
    answered = any(turn.role in ("assistant", "text") for turn in before.messages)
    if answered and not any(turn.role in ("assistant", "text") for turn in after.messages):
        return "There is no answer left to learn. Drop the row with x instead."
    return ""
