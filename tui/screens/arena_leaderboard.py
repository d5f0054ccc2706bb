"""The leaderboard: what the votes of the arena come to."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from engine.suites.seating import BASE
from tui.messages import OpenRun
from tui.screens.page import Page
from tui.text import clean_line
from tui.widgets.arena_words import rating_bar, share_words
from tui.widgets.item_table import Column, ItemTable
from tui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from engine.arena.ratings import Rating
    from store import Store

BAR, WIDE_BAR = 16, 34
WIDE = 120
"""From this width on bars are longer, and the figures beside them are whole."""
EVERYBODY = ""
EMPTY = """\
Nobody has voted by this yet.

Press esc for the arena: two answers side by side, one key for a vote.
] shows another criterion, v the votes of others."""


@dataclass(frozen=True)
class Standing:
    """One line: a model's rating, and the scores that the bars reach from and to."""

    place: int
    label: str
    rating: "Rating"
    low: float
    high: float

    @property
    def id(self) -> str:
        return self.rating.model


@dataclass(frozen=True)
class Board:
    """What is read for one criterion and one voter."""

    criteria: list[str]
    voters: list[str]
    standings: list[Standing]
    votes: int


def _bar(width: int, row: Standing) -> tuple[str, str]:
    return rating_bar(row.rating, row.low, row.high, width), "live"


COLUMNS = (
    Column("#", 2, lambda row: (str(row.place), "dim"), right=True),
    Column("model", 12, lambda row: (clean_line(row.label), ""), share=1),
    Column("rating", 6, lambda row: (f"{row.rating.score:.0f}", ""), right=True),
    Column("±", 4, lambda row: (f"{(row.rating.high - row.rating.low) / 2:.0f}", "dim"), right=True),
)
FIGURES = (
    Column(
        "won/tied/lost", 13, lambda row: (f"{row.rating.wins}/{row.rating.ties}/{row.rating.losses}", ""), right=True
    ),
    Column("both bad", 8, lambda row: (str(row.rating.both_bad or ""), "dim"), right=True, needs=100),
)
NARROW = (
    *COLUMNS,
    Column("95 % interval", BAR, partial(_bar, BAR)),
    *FIGURES,
    Column("win rate", 11, lambda row: (_short_share(row.rating), ""), right=True),
)
BROAD = (
    *COLUMNS,
    Column("95 % interval", WIDE_BAR, partial(_bar, WIDE_BAR)),
    *FIGURES,
    Column("win rate", 24, lambda row: (share_words(row.rating), ""), right=True),
)


def _tally(rating: "Rating") -> str:
    return f"{rating.wins}/{rating.ties}/{rating.losses}"


def _short_share(rating: "Rating") -> str:
    return f"{rating.win_rate:.2f} (n {rating.votes})" if rating.win_rate is not None else ""


class LeaderboardScreen(Page):
    """Ratings with their intervals, by criterion and by voter."""

    MODE = "chat"
    TITLE = "Leaderboard"
    CSS_PATH = "arena_leaderboard.tcss"
    AUTO_FOCUS = "ItemTable"
    HELP = """
**Which model do people prefer?** The rating is Bradley and Terry's: 400 points more are odds of 10 to 1 to be
preferred, and the mean is 1000. The bar shows the 95 % interval: where two bars overlap much, there are too few votes
to tell. A tie counts as half a win for each; “both bad” says nothing of which is better and is only counted.

`]` and `[` change the criterion, `v` whose votes count.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "right_square_bracket,tab", "by(1)", "criterion", id="board.by", key_display="]", tooltip="Next criterion"
        ),
        Binding("left_square_bracket,shift+tab", "by(-1)", "criterion", id="board.by_back", show=False),
        Binding("v", "voter", "whose votes", id="board.voter", tooltip="Everybody, people, or one voter"),
        Binding("escape", "back", "back", id="page.back", key_display="esc", tooltip="Back to the arena"),
    ]

    def __init__(self, criterion: str = "overall") -> None:
        super().__init__()
        self._first = criterion
        self._voters = [EVERYBODY]
        self._voter = EVERYBODY

    def compose_body(self) -> ComposeResult:
        yield TabLine({self._first: clean_line(self._first)})
        yield Static("", id="whose", markup=False)
        yield ItemTable(BROAD if self.app.size.width >= WIDE else NARROW, id="table")
        yield Static(Content(EMPTY), id="empty")

    def on_mount(self) -> None:
        self.when_ready(self._read_again)

    def on_resize(self) -> None:
        table = self.query_one(ItemTable)
        table.columns = BROAD if self.size.width >= WIDE else NARROW
        table.refresh()

    def _read_again(self) -> None:
        read = partial(_board, self.services.store, self.query_one(TabLine).active, self._voter)
        self.in_thread(read, self._show, group="board", title="The leaderboard cannot be read")

    def _show(self, board: Board) -> None:
        tabs = self.query_one(TabLine)
        names = dict.fromkeys([*board.criteria, tabs.active])
        tabs.tabs = {name: clean_line(name) for name in names}
        tabs.refresh()
        self._voters = [EVERYBODY, *board.voters]
        self.query_one(ItemTable).set_items(board.standings)
        self.set_class(not board.standings, "-empty")
        who = clean_line(self._voter) or "everybody"
        votes = f"{board.votes:,} {'vote' if board.votes == 1 else 'votes'}"
        self.query_one("#whose", Static).update(Content(f"{votes} of {who}"))

    def on_tab_line_chosen(self) -> None:
        if self.finetui.is_ready:
            self._read_again()

    @on(ItemTable.Opened)
    def _open(self) -> None:
        """Open the run under the cursor; base models have no screen."""
        row = self.query_one(ItemTable).highlighted
        if row is not None and not row.id.startswith(BASE):
            self.post_message(OpenRun(row.id))

    def action_by(self, places: int) -> None:
        self.query_one(TabLine).move(places)

    def action_voter(self) -> None:
        """Whose votes count: the next one's."""
        at = self._voters.index(self._voter) if self._voter in self._voters else 0
        self._voter = self._voters[(at + 1) % len(self._voters)]
        if self.finetui.is_ready:
            self._read_again()


def _board(store: "Store", criterion: str, voter: str) -> Board:
    """Read the votes and rate the models; call it in a thread."""
    from engine.arena.ratings import rate
    from engine.suites.seating import labels_of
    from store.votes import JUDGE, PEOPLE

    whose = voter or None
    rated = rate(store.votes.pairs(criterion, voter=whose))
    labels = labels_of(store, [rating.model for rating in rated])
    low, high = min((one.low for one in rated), default=0.0), max((one.high for one in rated), default=0.0)
    standings = [
        Standing(place, label, rating, low, high)
        for place, (label, rating) in enumerate(zip(labels, rated, strict=True), 1)
    ]
    voters = store.votes.voters()
    judges = [name for name in voters if name.startswith(JUDGE)]
    people = [name for name in voters if name not in judges]
    shown = [*([PEOPLE] if people and judges else []), *people, *judges]
    return Board(store.votes.criteria(), shown, standings, store.votes.count(criterion, whose))
