"""The columns of the run table: what each shows, how wide it is, and which ones a narrow terminal keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.format import NONE, fmt_bytes, fmt_rate, fmt_when
from tui.text import clean_line
from tui.widgets.run_words import eval_loss_of, peak_of, progress_of, state_of

if TYPE_CHECKING:
    from store.records import Run

Cell = tuple[str, str]
"""A text and its tone: `live`, `good`, `look`, `act`, `dim`, or empty."""
GAP, WIDE_GAP = 1, 2
ROOMY = 100
"""From this width on there are two cells between the columns."""


@dataclass(frozen=True)
class Column:
    """`keep` says how long it stays when the terminal gets narrow: 0 always, then the highest goes first."""

    key: str
    title: str
    width: int
    keep: int
    cell: Callable[["Run", int], Cell]
    right: bool = False
    sort: str = ""
    """The store's name of the order by this column, where there is one."""


def _name(run: "Run", _: int) -> Cell:
    return clean_line(run.name) or run.id, ""


def _state(run: "Run", _: int) -> Cell:
    state = state_of(run)
    return f"{state.symbol} {state.word}", state.tone


def _progress(run: "Run", width: int) -> Cell:
    return progress_of(run, width), "live" if run.status.live else "dim"


def _eval_loss(run: "Run", _: int) -> Cell:
    text, _delta, tone = eval_loss_of(run)
    return text, "" if tone in ("good", "dim") else tone


def _delta(run: "Run", _: int) -> Cell:
    _text, delta, tone = eval_loss_of(run)
    return delta, tone


def _rate(run: "Run", _: int) -> Cell:
    return (fmt_rate(run.tokens_per_s), "") if run.tokens_per_s is not None else (NONE, "dim")


def _peak(run: "Run", _: int) -> Cell:
    peak = peak_of(run)
    return (fmt_bytes(peak), "") if peak else (NONE, "dim")


def _model(run: "Run", width: int) -> Cell:
    name = clean_line(run.model)
    return name if len(name) <= width else name.rstrip("/").rpartition("/")[2], "dim"


def _dataset(run: "Run", _: int) -> Cell:
    return clean_line(run.dataset), "dim"


def _started(run: "Run", _: int) -> Cell:
    return fmt_when(run.started or run.created), "dim"


NAME = Column("name", "name", 18, 0, _name, sort="name")
COLUMNS = (
    NAME,
    Column("state", "state", 12, 0, _state, sort="status"),
    Column("progress", "progress", 20, 0, _progress),
    Column("eval", "eval loss", 10, 0, _eval_loss, right=True, sort="eval/loss"),
    Column("delta", "Δ best", 7, 3, _delta, right=True),
    Column("rate", "tok/s", 7, 4, _rate, right=True),
    Column("peak", "peak", 8, 5, _peak, right=True),
    Column("model", "model", 16, 6, _model),
    Column("dataset", "dataset", 14, 7, _dataset),
    Column("started", "started", 10, 0, _started, sort="created"),
)
WIDER = {"progress": 26, "name": 40, "model": 28, "dataset": 22}
"""How far a column may grow where there is room."""


def gap_of(width: int) -> int:
    """Cells between two columns."""
    return WIDE_GAP if width >= ROOMY else GAP


def fit(width: int) -> list[tuple[Column, int]]:
    """The columns that fit beside the mark in `width` cells, in order, each with its width."""
    shown = list(COLUMNS)
    gap = gap_of(width)

    def needed() -> int:
        return 2 + sum(column.width + gap for column in shown)

    while needed() > width and any(column.keep for column in shown):
        shown.remove(max(shown, key=lambda column: column.keep))
    widths = {column.key: column.width for column in shown}
    room = width - needed()
    if room < 0:
        widths["name"] = max(8, widths["name"] + room)
    for key in ("name", "progress", "name", "model", "dataset"):
        if key in widths and room > 0:
            most = 28 if key == "name" and widths["progress"] == 20 else WIDER[key]
            extra = max(0, min(room, most - widths[key]))
            widths[key] += extra
            room -= extra
    return [(column, widths[column.key]) for column in shown]
