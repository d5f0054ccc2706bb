"""How long the rows are to a model: tokens, what a length cuts, what is learnt, what padding wastes."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.errors import explain
from tui.screens.dataset_pane import BY_ITSELF_ROWS, DatasetPane, SeenBy
from tui.text import clean, clean_line
from tui.widgets.gauge import styled_bar
from tui.widgets.token_figures import cut_content, lengths_content, shares_content, summary_content, warning_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.records import Dataset
    from tui.services import Services

NARROW = 76
LEAST_RIGHT = 39
GAP = 2
TALL = 18


class Figures(VerticalScroll, can_focus=True):
    """The figures, scrolled where there are more of them than lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", id="tokens.down", show=False),
        Binding("k", "scroll_up", "up", id="tokens.up", show=False),
    ]


class TokensPane(DatasetPane):
    """Token figures by the model's tokenizer, with those of tiktoken beside them."""

    DEFAULT_CSS = """
    TokensPane {
        height: 1fr;
        padding: 1 1 0 1;
        #who { height: auto; color: $text-muted; }
        #state { height: auto; margin-top: 1; }
        #summary { height: 1; margin-bottom: 1; text-wrap: nowrap; }
        #looks { color: $text-warning; margin-bottom: 1; }
        #token-figures { height: 1fr; scrollbar-size-vertical: 1; }
        #token-figures Static { height: auto; }
        #upper { height: auto; }
        #histogram { width: 1fr; margin-right: 2; }
        #right { height: auto; }
        #cuts { margin-bottom: 1; }
        &.-narrow #upper { layout: vertical; }
        &.-narrow #histogram, &.-narrow #right { margin: 0 0 1 0; }
        #advice { margin-top: 1; color: $text-success; }
        #beside { margin-top: 1; color: $text-muted; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.figures: dict[str, Any] | None = None
        self._figures_of: SeenBy | None = None
        self._counting: SeenBy | None = None
        self._share = 0.0
        self._stopped = False

    def compose(self) -> ComposeResult:
        yield Static("", id="who", markup=False)
        yield Static("", id="state", markup=False)
        with Figures(id="token-figures"):
            yield Static("", id="summary", markup=False)
            yield Static("", id="looks", markup=False)
            with Horizontal(id="upper"):
                yield Static("", id="histogram", markup=False)
                with Vertical(id="right"):
                    yield Static("", id="cuts", markup=False)
                    yield Static("", id="shares", markup=False)
            yield Static("", id="advice", markup=False)
            yield Static("", id="beside", markup=False)

    def applies(self, name: str) -> bool:
        return self._counting is None and self._figures_of != self.page.seen_by

    def opened(self) -> None:
        self.query_one("#token-figures").focus()
        if self._figures_of != self.page.seen_by and self._counting is None:
            if self.dataset.rows <= BY_ITSELF_ROWS:
                self.do_count()
            else:
                self._look_up()
        self._show()

    def seen_otherwise(self, seen: SeenBy) -> None:
        """Another model, template or length was chosen: count anew, if one is looking."""
        if self.page.tab == "tokens" and self._counting is None and self._figures_of != seen:
            self.do_count()

    def do_count(self) -> None:
        """Count in a thread; what was counted before comes back at once."""
        seen = self._counting = self.page.seen_by
        self._share, self._stopped = 0.0, False
        self.page.in_thread(
            partial(_count, self.services, self.dataset, seen, self._progress, lambda: self._stopped),
            partial(self._counted, seen),
            group="tokens",
            failed=self._failed,
            exclusive=False,
        )
        self._show()
        self.page.refresh_bindings()

    def stop(self) -> bool:
        """Give the counting up; whether there was any."""
        counting, self._stopped = self._counting is not None, True
        return counting

    def on_unmount(self) -> None:
        self._stopped = True

    def _look_up(self) -> None:
        """Show what was counted before, without counting."""
        seen = self.page.seen_by

        def then(found: dict[str, Any] | None) -> None:
            if found is not None:
                self._counted(seen, found)

        self.in_thread(
            partial(_kept, self.services, self.dataset, seen), then, group="tokens-kept", failed=lambda _: None
        )

    def _progress(self, share: float) -> None:
        """In the thread."""
        if int(share * 50) != int(self._share * 50):
            self.call_later(self._show_share)
        self._share = share

    def _show_share(self) -> None:
        if self._counting is not None:  # else it is over, and what came of it is shown
            self._show()

    def _counted(self, seen: SeenBy, found: dict[str, Any]) -> None:
        self._counting = None
        self.figures, self._figures_of = found, seen
        self._stopped = False
        self.in_thread(
            partial(_count_beside, self.services, self.dataset, seen, lambda: self._stopped),
            self._counted_beside,
            group="tokens-beside",
            failed=lambda error: self._counted_beside(f"tiktoken: {explain(error).what}"),
        )
        self.page.tokens_counted(found)
        self._show()
        self.page.refresh_bindings()

    def _counted_beside(self, words: str) -> None:
        self.query_one("#beside", Static).update(clean(words))

    def _failed(self, error: Exception) -> None:
        self._counting = None
        self.figures = None
        what, why, fix = (clean(part) for part in explain(error))
        lines = [Content(what).stylize("$text-error"), Content(why), Content(fix).stylize("$text-success")]
        self._show(Content("\n").join(line for line in lines if line.plain))
        self.page.refresh_bindings()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW, "-narrow")
        self.call_after_refresh(self._show)

    def _show(self, problem: Content | None = None) -> None:
        if self.page.current_dataset is None:
            return
        seen, found = self.page.seen_by, self.figures
        name = clean_line(str(found.get("tokenizer", seen.model))) if found else clean_line(seen.model)
        words = f"counted by the tokenizer of {name}" if found else f"tokenizer of {name}"
        self.query_one("#who", Static).update(f"{words} · max_length {seen.max_length:,} · m model · L length")
        state = self.query_one("#state", Static)
        state.display = found is None or self._counting is not None
        if problem is not None:
            state.update(problem)
        elif self._counting is not None:
            state.update(
                Content.assemble("Counting …  ", styled_bar(self._share, 40), f"  {self._share:.0%}   esc gives it up")
            )
        else:
            key = ("c", "bold $footer-key-foreground")
            state.update(
                Content.assemble(
                    f"The tokens of {self.dataset.rows:,} rows were not counted yet. ", key, " counts them."
                )
            )
        self.query_one("#token-figures").display = found is not None
        if found is not None:
            self._show_figures(found, self._figures_of or seen)

    def _show_figures(self, found: dict[str, Any], seen: SeenBy) -> None:
        rows = self.dataset.rows
        narrow = self.has_class("-narrow")
        width = self.size.width - 3
        right = width if narrow else min(60, max(LEAST_RIGHT, width * 2 // 5))
        left = width if narrow else width - right - GAP
        self.query_one("#right").styles.width = right
        height = min(TALL, max(6, self.size.height - (14 if narrow else 8)))
        self.query_one("#summary", Static).update(summary_content(found, rows))
        self.query_one("#histogram", Static).update(lengths_content(found, max(20, left), height, seen.max_length))
        self.query_one("#cuts", Static).update(cut_content(found, rows, seen.max_length))
        self.query_one("#shares", Static).update(shares_content(found, right))
        self.query_one("#advice", Static).update(clean(str(found.get("advice", ""))))
        looks = warning_words(found)
        self.query_one("#looks").display = bool(looks)
        self.query_one("#looks", Static).update("\n".join(f"⚠ {clean_line(words)}" for words in looks))


def _kept(services: "Services", dataset: "Dataset", seen: SeenBy) -> dict[str, Any] | None:
    """What was counted before with these eyes, as far as that is known without the tokenizer."""
    if (seen.template, seen.assistant_only) != (SeenBy.template, SeenBy.assistant_only):
        return None
    found = [
        figures
        for figures in services.library.tokens(dataset.id).values()
        if figures.get("tokenizer") == seen.model and figures.get("max_length") == seen.max_length
    ]
    return found[-1] if found else None


def _count(
    services: "Services",
    dataset: "Dataset",
    seen: SeenBy,
    progress: "Callable[[float], None]",
    cancelled: "Callable[[], bool]",
) -> dict[str, Any]:
    """The figures by the model's tokenizer."""
    from engine.tokens import dataset_tokens, model_tokenizer

    figures = dataset_tokens(
        services.library,
        dataset,
        model_tokenizer(services.home, seen.model, cancelled=cancelled),
        max_length=seen.max_length,
        template=seen.template,
        assistant_only=seen.assistant_only,
        progress=progress,
        cancelled=cancelled,
    )
    return figures.to_json()


def _count_beside(services: "Services", dataset: "Dataset", seen: SeenBy, cancelled: "Callable[[], bool]") -> str:
    """What tiktoken counts, as a sentence; where it cannot, why."""
    from engine.tokens import model_tokenizer, tiktoken_tokens

    tokenizer = model_tokenizer(services.home, seen.model, cancelled=cancelled)
    found = tiktoken_tokens(
        services.library, dataset, fallback=tokenizer, max_length=seen.max_length, cancelled=cancelled
    )
    if found.key == tokenizer.key:
        return f"tiktoken: {found.note}"
    words = f"tiktoken {found.tokenizer}: {found.total:,} tokens · mean {found.mean:,.0f} · p95 {found.p95:,}"
    return f"{words}. {found.note}".rstrip()
