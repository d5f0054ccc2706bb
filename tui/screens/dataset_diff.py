"""Two versions of a dataset: what differs?"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.page import Page
from tui.screens.working import GivenUp, Progress, run_long
from tui.widgets.conversation_preview import conversation_content
from tui.widgets.dataset_words import count_words, made_words, title_of
from tui.widgets.diff_rows import Difference, DiffRows, Pair
from tui.widgets.tab_line import TabLine
from tui.widgets.word_diff import row_diff

if TYPE_CHECKING:
    from engine.datasets.making import Diff
    from store.records import Dataset
    from tui.services import Services

TABS = {"": "all", "~": "changed", "+": "added", "-": "removed", ">": "moved between splits"}
WIDE = 110
"""From this width on the rows stand beside what they hold."""


class DiffScreen(Page):
    """The rows that came, went, changed or moved from one dataset version to another."""

    MODE = "datasets"
    TITLE = "What differs"
    CSS_PATH = "dataset_diff.tcss"
    AUTO_FOCUS = "DiffRows"
    HELP = """
**What differs between two versions?** `+` rows are only in the second, `-` rows only in the first. `~` rows ask the
same and answer otherwise: what went is struck, what came is green. `>` rows are the same, in another split.

`]` `[` show one kind alone, `j` `k` go through the rows, `J` `K` scroll a long one.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "datasets", id="page.back", key_display="esc", tooltip="Back to the datasets"),
        Binding("right_square_bracket", "kind(1)", "next kind", id="diff.next", key_display="]"),
        Binding("left_square_bracket", "kind(-1)", "kind before", id="diff.previous", key_display="["),
        Binding("J,shift+down", "scroll(1)", "scroll", id="dataset.scroll", tooltip="Scroll the text down"),
        Binding("K,shift+up", "scroll(-1)", "scroll up", id="dataset.scroll_up", show=False),
    ]

    def __init__(self, before: "Dataset", after: "Dataset") -> None:
        super().__init__()
        self.before = before
        self.after = after
        self._all: list[Difference] = []

    def compose_body(self) -> ComposeResult:
        yield Static("", id="headline", markup=False)
        yield TabLine(TABS)
        with Container(id="body"):
            yield DiffRows(id="rows")
            with VerticalScroll(id="side", classes="panel", can_focus=False):
                yield Static("", id="text", markup=False)
        yield Static("", id="same", markup=False)

    def on_mount(self) -> None:
        names = f"{title_of(self.before)}  →  {title_of(self.after)}"
        self.query_one("#headline", Static).update(Content.assemble((names, "bold")))
        self.when_ready(self._start)

    def _start(self) -> None:
        read = partial(_read_diff, self.services, self.before, self.after)
        title = f"Comparing {title_of(self.before)} and {title_of(self.after)}"
        run_long(self, title, read, self._show, failed=self._failed, given_up=self.leave)

    def _failed(self, error: Exception) -> None:
        self.cannot_be_shown(error, "The versions cannot be compared")

    def _show(self, found: "tuple[Diff, list[Difference], str]") -> None:
        diff, self._all, made = found
        counts = {mark: sum(one.mark == mark for one in self._all) for mark in TABS if mark}
        tabs = self.query_one(TabLine)
        tabs.tabs = {mark: title for mark, title in TABS.items() if not mark or counts[mark]}
        tabs.counts = {"": len(self._all), **counts}
        self.query_one("#headline", Static).update(
            Content.assemble(
                (title_of(self.before), "bold"),
                (f" {count_words(self.before.rows, 'row')}  →  ", "$text-muted"),
                (title_of(self.after), "bold"),
                (f" {count_words(self.after.rows, 'row')}", "$text-muted"),
                (f" · {made}" if made else "", "$text-muted"),
                (f" · {count_words(diff.same - len(diff.moved), 'row')} the same", "$text-muted"),
            )
        )
        self.set_class(not self._all, "-same")
        words = f"All {count_words(diff.same, 'row')} are the same, in the same splits."
        self.query_one("#same", Static).update(words)
        self.query_one(DiffRows).show(self._all)
        self.refresh_bindings()

    # Rows

    @on(TabLine.Chosen)
    def _kind_chosen(self, event: TabLine.Chosen) -> None:
        self.query_one(DiffRows).show([one for one in self._all if not event.tab or one.mark == event.tab])

    def action_kind(self, places: int) -> None:
        """Show another kind of difference alone."""
        self.query_one(TabLine).move(places)

    @on(DiffRows.PageWanted)
    def _page_wanted(self, event: DiffRows.PageWanted) -> None:
        rows = self.query_one(DiffRows)
        self.in_thread(
            partial(_read_pairs, self.services, self.before, self.after, event.wanted),
            partial(rows.give, event.wanted, event.page),
            group=f"page-{event.page}",
            title="The rows cannot be read",
            exclusive=False,
        )

    @on(DiffRows.Highlighted)
    def _highlighted(self) -> None:
        rows = self.query_one(DiffRows)
        difference = rows.highlighted
        pair = rows.pair(rows.cursor) if difference else None
        if difference is None or pair is None:
            return
        self.query_one("#side").border_title = _place(difference)
        self.in_thread(partial(_pair_content, pair), self._show_text, group="text")

    def _show_text(self, content: Content) -> None:
        self.query_one("#text", Static).update(content)
        self.query_one("#side").scroll_home(animate=False)

    def action_scroll(self, direction: int) -> None:
        side = self.query_one("#side")
        side.scroll_relative(y=direction * max(1, side.size.height // 2), animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "kind":
            return len(self._all) > 0 and len(self.query_one(TabLine).tabs) > 2
        if action == "scroll":
            return bool(self._all)
        return super().check_action(action, parameters)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")


def _place(difference: Difference) -> str:
    """Which rows these are, counted from 1."""
    if difference.before is None:
        return f"row {(difference.after or 0) + 1:,} is new"
    if difference.after is None:
        return f"row {difference.before + 1:,} is gone"
    before, after = difference.before + 1, difference.after + 1
    place = f"row {after:,}" if before == after else f"row {before:,}, now {after:,}"
    return f"{place} {'is in another split' if difference.moved else 'changed'}"


def _pair_content(pair: Pair) -> Content:
    before, after = pair
    if before is not None and after is not None:
        return row_diff(before, after)
    row = after or before
    return conversation_content(row) if row is not None else Content("")


def _read_diff(
    services: "Services", before: "Dataset", after: "Dataset", progress: Progress, cancelled: GivenUp
) -> "tuple[Diff, list[Difference], str]":
    """What differs, in the order of the first version and then what is new; and how the second was made from it."""
    from engine.datasets.making import diff

    found = diff(services.library, before, after, progress=progress, cancelled=cancelled)
    differences = [Difference(one, None) for one in found.removed]
    differences += [Difference(None, one) for one in found.added]
    differences += [Difference(old, new) for old, new in found.changed]
    differences += [Difference(old, new, moved=True) for old, new in found.moved]
    differences.sort(key=lambda one: (one.before is None, one.after if one.before is None else one.before))
    made = made_words(after, services.library.card(after.id)) if after.parent == before.id else ""
    return found, differences, made


def _read_pairs(
    services: "Services", before: "Dataset", after: "Dataset", wanted: Sequence[Difference]
) -> "list[Pair]":
    take = services.library.take
    olds = [one.before for one in wanted if one.before is not None]
    news = [one.after for one in wanted if one.after is not None]
    old = dict(zip(olds, take(before.id, olds), strict=True)) if olds else {}
    new = dict(zip(news, take(after.id, news), strict=True)) if news else {}
    return [
        (old[one.before] if one.before is not None else None, new[one.after] if one.after is not None else None)
        for one in wanted
    ]
