"""Asks for a filter, and says how many rows it leaves while one types."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from engine.errors import BadInput, Cancelled, FinetuiError
from tui.screens.dialogs import Dialog, key_words
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.datasets.library import DatasetLibrary
    from store.records import Dataset

PAUSE_S = 0.25
MOST_KEYS = 6
EXAMPLES = ("answer.chars < 2000 AND emoji <= 5", 'split = train AND NOT user ~ "password"')


class FilterDialog(Dialog[str | None]):
    """Enter takes the filter. It is not taken while it cannot be read, or while no row matches."""

    DEFAULT_CSS = """
    FilterDialog #answer { height: auto; min-height: 1; margin-bottom: 1; }
    FilterDialog #fields { height: auto; max-height: 22; margin-bottom: 1; scrollbar-size-vertical: 1; }
    FilterDialog #fields Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel", id="dialog.cancel"),
        Binding("pagedown,down", "scroll(4)", "scroll", id="filter.down"),
        Binding("pageup,up", "scroll(-4)", "scroll up", id="filter.up"),
    ]

    def __init__(
        self, library: "DatasetLibrary", dataset: "Dataset", value: str = "", metadata: "Sequence[str]" = ()
    ) -> None:
        super().__init__()
        self.title_text = f"Keep the rows of {dataset.name} v{dataset.version} that match"
        self._library = library
        self._dataset = dataset
        self._value = value
        self._metadata = metadata
        self._timer: Timer | None = None
        self._asked = 0
        self._matching: int | None = None
        self._take_when_counted = False

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            yield Input(self._value, placeholder=EXAMPLES[0], compact=True)
            yield Static("", id="answer", markup=False)
            with VerticalScroll(id="fields", can_focus=False):
                yield Static(self._help(), markup=False)
            yield Static(key_words(("enter", "make the version"), ("↑↓", "fields"), ("esc", "cancel")), classes="keys")

    def _help(self) -> Content:
        from engine.datasets.filter import FIELD_WORDS

        width = max(len(name) for name in FIELD_WORDS)
        lines = [
            Content.assemble((f"{name:<{width}}  ", "$text-primary"), (words, "$text-muted"))
            for name, words in FIELD_WORDS.items()
        ]
        rules = [
            "=  !=  <  <=  >  >=     ~ contains  !~ does not     AND  OR  NOT  ( )",
            "a word alone is looked for in every turn",
            *(f"for example  {example}" for example in EXAMPLES),
        ]
        if self._metadata:
            keys = ", ".join(f"metadata.{clean_line(key)}" for key in self._metadata[:MOST_KEYS])
            rules.append(f"rows of this dataset have  {keys}")
        return Content("\n").join([*(Content(rule).stylize("$text-muted") for rule in rules), Content(""), *lines])

    def on_mount(self) -> None:
        room = max(4, self.app.size.height * 9 // 10 - 10)
        self.query_one("#fields").styles.max_height = min(room, 26)
        if self._value:
            self._ask()

    @on(Input.Changed)
    def _typed(self) -> None:
        self._asked += 1  # what is being counted is for the words before
        self._matching = None
        self._take_when_counted = False
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._ask)

    def _ask(self) -> None:
        text = self.query_one(Input).value.strip()
        self._asked += 1
        if self._timer is not None:
            self._timer.stop()
        if not text:
            self._answer("")
            return
        self._count(text, self._asked)

    @work(thread=True, group="count", exit_on_error=False)
    def _count(self, text: str, asked: int) -> None:
        from engine.datasets.filter import count_matches

        def cancelled() -> bool:
            return asked != self._asked or not self.is_running

        def progress(share: float) -> None:
            if not cancelled() and share < 1:
                self.call_later(self._counting, share, asked)

        try:
            found = count_matches(self._library, self._dataset, text, progress=progress, cancelled=cancelled)
        except Cancelled:
            return
        except FinetuiError as error:
            if not cancelled():
                self.call_later(self._refused, error, asked)
            return
        if not cancelled():
            self.call_later(self._counted_rows, found, text, asked)

    def _counting(self, share: float, asked: int) -> None:
        if asked == self._asked and self._matching is None:
            self._answer(f"counting … {share:.0%}", "$text-muted")

    def _refused(self, error: FinetuiError, asked: int) -> None:
        if asked == self._asked:
            words = [error.what, error.why] if isinstance(error, BadInput) else [error.what, error.why, error.fix]
            self._answer("\n".join(clean(part) for part in words if part), "$text-error")

    def _counted_rows(self, found: int, text: str, asked: int) -> None:
        if asked != self._asked:
            return
        self._matching = found
        total = self._dataset.rows
        words = f"{found:,} of {total:,} rows match"
        if found == total:
            self._answer(f"{words}: all of them stay, so there is nothing to make", "$text-warning")
        elif not found:
            self._answer(f"{words}: none would be left", "$text-warning")
        else:
            self._answer(f"{words}; {total - found:,} go", "bold $text-success")
            if self._take_when_counted:
                self.dismiss(text)

    def _answer(self, words: str, style: str = "") -> None:
        self.query_one("#answer", Static).update(Content(words).stylize(style) if style else Content(words))

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if text and self._matching is None:
            self._take_when_counted = True  # Enter came before the count
            self._ask()
        elif text and 0 < (self._matching or 0) < self._dataset.rows:
            self.dismiss(text)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#fields").scroll_relative(y=lines, animate=False)

    def action_cancel(self) -> None:
        self._asked += 1
        self.dismiss(None)
