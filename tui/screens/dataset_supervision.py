"""One row as the model sees it: rendered by its tokenizer in a thread, the row before it kept until it is there."""

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.errors import explain
from tui.screens.dataset_pane import SeenBy
from tui.text import clean, clean_line
from tui.widgets.row_view import RowView
from tui.widgets.token_view import token_content, token_head

if TYPE_CHECKING:
    from engine.datasets.rows import Row
    from engine.home import Home
    from engine.tokens import Rendered, Tokenizer
    from tui.screens.dataset import DatasetScreen

KEPT = 64
Key = tuple[int, int, SeenBy]


class SupervisionView(Vertical):
    """What is trained of a row, and how much; totals of the dataset below, once they were counted."""

    DEFAULT_CSS = """
    SupervisionView {
        height: 1fr;
        #seen-head { height: auto; max-height: 2; }
        #seen-warning { height: auto; color: $text-warning; text-style: bold; display: none; }
        #seen-text { margin-top: 1; }
        #seen-total { height: auto; max-height: 2; color: $text-muted; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._tokenizers: dict[str, Tokenizer] = {}
        self._kept: OrderedDict[Key, Rendered] = OrderedDict()
        self._wanted: tuple[Row, SeenBy] | None = None
        self._busy = False
        self.rendered: Rendered | None = None
        """What is shown."""

    def compose(self) -> ComposeResult:
        yield Static("", id="seen-head", markup=False)
        yield Static("", id="seen-warning", markup=False)
        yield RowView(id="seen-text")
        yield Static("", id="seen-total", markup=False)

    @property
    def _page(self) -> "DatasetScreen":
        return cast("DatasetScreen", self.screen)

    def show(self, row: "Row", seen: SeenBy) -> None:
        """Show a row, at once where it was rendered before."""
        found = self._kept.get(_key(row, seen))
        if found is not None:
            self._wanted = None
            self._draw(row, seen, found)
            return
        self._wanted = (row, seen)
        if not self._busy:
            self._render_wanted()

    def templates(self, model: str) -> list[str]:
        """The templates of a model whose tokenizer is there; else only its own."""
        tokenizer = self._tokenizers.get(model)
        return list(tokenizer.templates()) if tokenizer else ["own"]

    def show_total(self, words: str) -> None:
        """What is known of the whole dataset."""
        self.query_one("#seen-total", Static).update(words)

    def _render_wanted(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        row, seen = wanted
        self._busy = True
        tokenizer = self._tokenizers.get(seen.model)
        if tokenizer is None and self.rendered is None:
            self._say(Content(f"preparing the tokenizer of {clean_line(seen.model)} …").stylize("$text-muted"))
        self._page.in_thread(
            partial(_render, self._page.services.home, tokenizer, row, seen),
            partial(self._take, row, seen),
            group="render",
            failed=partial(self._failed, row, seen),
            exclusive=False,
        )

    def _take(self, row: "Row", seen: SeenBy, found: "tuple[Tokenizer, Rendered]") -> None:
        self._busy = False
        tokenizer, rendered = found
        self._tokenizers[seen.model] = tokenizer
        self._kept[_key(row, seen)] = rendered
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        if self._wanted is None or self.rendered is None:
            self._draw(row, seen, rendered)
        self._render_wanted()

    def _failed(self, row: "Row", seen: SeenBy, error: Exception) -> None:
        self._busy = False
        if self._wanted is not None:
            self._render_wanted()
            return
        what, why, fix = (clean(part) for part in explain(error))
        self.rendered = None
        self.query_one("#seen-head", Static).update(Content(clean_line(seen.model)).stylize("bold"))
        self._warn([])
        lines = [Content(what).stylize("$text-error"), Content(why), Content(fix).stylize("$text-success")]
        keys = Content("m chooses another model, t another template, v shows the conversation.").stylize("$text-muted")
        self._say(Content("\n").join([line for line in lines if line.plain] + [keys]), row.index)

    def _draw(self, row: "Row", seen: SeenBy, rendered: "Rendered") -> None:
        self.rendered = rendered
        name = clean_line(seen.model.rsplit("/", 1)[-1])
        head = token_head(rendered, name, clean_line(seen.template))
        rest = f" · max_length {seen.max_length:,}" + ("" if seen.assistant_only else " · every turn is learnt")
        self.query_one("#seen-head", Static).update(head + Content(rest).stylize("$text-muted"))
        self._warn(rendered.warnings)
        self._say(token_content(rendered), row.index)

    def _warn(self, warnings: Any) -> None:
        warning = self.query_one("#seen-warning", Static)
        warning.display = bool(warnings)
        warning.update("\n".join(f"⚠ {clean_line(str(words))}" for words in warnings))

    def _say(self, content: Content, of: object = None) -> None:
        self.query_one(RowView).show(content, of)


def _key(row: "Row", seen: SeenBy) -> Key:
    return row.index, hash((row.messages, row.chosen, row.rejected, row.tools)), seen


def _render(home: "Home", tokenizer: "Tokenizer | None", row: "Row", seen: SeenBy) -> "tuple[Tokenizer, Rendered]":
    from engine.tokens import model_tokenizer, render_row

    tokenizer = tokenizer or model_tokenizer(home, seen.model)
    rendered = render_row(
        row, tokenizer, template=seen.template, max_length=seen.max_length, assistant_only=seen.assistant_only
    )
    return tokenizer, rendered
