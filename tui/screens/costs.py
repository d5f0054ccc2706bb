"""Costs: what did the runs take, and for what?"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.screens.page import Page
from tui.text import clean_line
from tui.widgets.cost_words import amount, energy, hours, what_is_missing
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from engine.prices import Prices
    from engine.spending import Share, Spending
    from tui.services import Services

BY = {
    "month": "month",
    "week": "week",
    "day": "day",
    "model": "model",
    "dataset": "dataset",
    "tag": "tag",
    "run": "run",
}
SINCE = {"": "all time", "last-month": "last month and this", "30d": "30 days", "7d": "7 days", "today": "today"}
EMPTY = """\
No run began in that time.

Every run counts here from its first minute on a device: hours, energy and money.
Press s for a longer time, or 3 to launch a run."""


class Row:
    """A share with the currency it is shown in."""

    def __init__(self, share: "Share", currency: str, *, total: bool = False) -> None:
        self.share = share
        self.currency = currency
        self.total = total

    @property
    def id(self) -> str:
        return "total" if self.total else f"= {self.share.name}"


def _name(row: Row) -> tuple[str, str]:
    return ("all of these", "dim") if row.total else (clean_line(row.share.name), "")


COLUMNS = (
    Column("", 16, _name, share=1),
    Column("runs", 6, lambda row: (f"{row.share.runs:,}", ""), right=True),
    Column("device hours", 12, lambda row: (hours(row.share.device_s), ""), right=True),
    Column("energy", 11, lambda row: (energy(row.share), ""), right=True),
    Column("electricity", 12, lambda row: (amount(row.share.electricity, row.currency), ""), right=True),
    Column("device cost", 12, lambda row: (amount(row.share.cost, row.currency), ""), right=True),
)


class Shares(ItemTable):
    """The shares, one a line. There is nothing more of one to open."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "open"


class CostsScreen(Page):
    """What the runs of this home took, put together by month, model, dataset or tag."""

    MODE = "runs"
    TITLE = "Costs"
    CSS_PATH = "costs.tcss"
    AUTO_FOCUS = "Shares"
    HELP = """
**What did the runs take, and for what?** Hours are those in which a run had its devices, two at a time counted twice:
not the time in the queue. Energy is what the GPUs told of their power; `≥` where it was measured of some runs only.

Prices come from `settings.toml`: `kwh = 0.30` under `[prices]` is a kilowatt hour, `"H200" = 3.99` under
`[prices.hour]` an hour on a device whose name has that in it. A run keeps the price that it was launched with.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,tab", "by(1)", "by", id="costs.by", key_display="]", tooltip="Put together anew"),
        Binding("left_square_bracket,shift+tab", "by(-1)", "by", id="costs.by_back", show=False, key_display="["),
        Binding("s", "since", "time", id="costs.since", tooltip="All time, 30 days, 7 days, today"),
        Binding("escape", "back", "back", id="page.back", key_display="esc", tooltip="Back to the list of runs"),
    ]

    def __init__(self, query: str = "") -> None:
        """`query` is a filter of runs: only those count."""
        super().__init__()
        self._query = query
        self._since = 0

    def compose_body(self) -> ComposeResult:
        yield Static("", id="sentence", markup=False)
        yield TabLine(BY)
        yield Shares(COLUMNS, id="table")
        yield Static(Content(EMPTY), id="empty")
        yield Static("", id="missing", markup=False)

    def on_mount(self) -> None:
        self.when_ready(self._read_again)

    def _read_again(self) -> None:
        read = partial(_read, self.services, self.query_one(TabLine).active, self._query, [*SINCE][self._since])
        self.in_thread(read, self._show, group="costs", title="The costs cannot be reckoned")

    def _show(self, read: "tuple[Spending, Prices]") -> None:
        found, prices = read
        rows = [Row(share, prices.currency) for share in found.shares]
        if len(rows) > 1:
            rows.append(Row(found.total, prices.currency, total=True))
        self.query_one(Shares).set_items(rows)
        self.set_class(not rows, "-empty")
        which = f" that match {self._query!r}" if self._query else ""
        count = f"{found.total.runs:,} {'run' if found.total.runs == 1 else 'runs'}"
        words = f"{count}{which} · {[*SINCE.values()][self._since]}"
        self.query_one("#sentence", Static).update(words)
        missing = what_is_missing(found, bool(prices.hour), bool(prices.kwh)) if rows else ""
        self.query_one("#missing", Static).update(missing)

    def on_tab_line_chosen(self) -> None:
        if self.finetui.is_ready:
            self._read_again()

    def action_by(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    def action_since(self) -> None:
        """The next stretch of time."""
        self._since = (self._since + 1) % len(SINCE)
        if self.finetui.is_ready:
            self._read_again()


def _read(services: "Services", by: str, query: str, since: str) -> "tuple[Spending, Prices]":
    import time

    from engine.prices import read_prices
    from engine.spending import beginning, spending

    prices = read_prices(services.home)
    began = beginning(since, time.time()) if since else None
    return spending(services.store, prices, by=by, query=query, since=began), prices
