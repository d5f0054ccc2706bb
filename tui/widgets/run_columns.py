"""The columns of the run table: what each shows, how wide it is, and which ones a narrow terminal keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from engine.figures import fmt_energy, fmt_setting
from tui.format import NONE, fmt_bytes, fmt_cost, fmt_delta, fmt_duration, fmt_number, fmt_rate, fmt_when
from tui.text import clean_line
from tui.widgets.run_orders import FIGURE, NEWEST, SETTING, metric_of, order_of
from tui.widgets.run_words import (
    EVAL_LOSS,
    eval_loss_of,
    peak_of,
    progress_of,
    state_of,
    took_s,
)
from tui.widgets.sparkline import spark

if TYPE_CHECKING:
    from store.records import Run

Cell = tuple[str, str]
"""A text and its tone: `live`, `good`, `look`, `act`, `dim`, or empty."""
WIN_RATE = "win_rate"
GAP, WIDE_GAP = 1, 2
ROOMY = 100
"""From this width on there are two cells between the columns."""
SPARK_WIDTH = 7


@dataclass(frozen=True)
class Beside:
    """What cells show that is not in their own run."""

    baseline: "Run | None" = None
    """The run that the others are measured against; without one, each is measured against its own best."""
    sparks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Loss curves, of two values a cell, by the ids of their runs."""


@dataclass(frozen=True)
class Column:
    """`keep` says how long it stays when the terminal gets narrow: 0 always, then the highest goes first."""

    key: str
    title: str
    width: int
    keep: int
    cell: "Callable[[Run, int, Beside], Cell]"
    right: bool = False
    sort: str = ""
    """The store's name of the order by this column, where there is one."""


def _name(run: "Run", _: int, __: Beside) -> Cell:
    return clean_line(run.name) or run.id, ""


def _state(run: "Run", _: int, __: Beside) -> Cell:
    state = state_of(run)
    return f"{state.symbol} {state.word}", state.tone


def _progress(run: "Run", width: int, _: Beside) -> Cell:
    return progress_of(run, width), "live" if run.status.live else "dim"


def _eval_loss(run: "Run", _: int, __: Beside) -> Cell:
    text, _delta, tone = eval_loss_of(run)
    return text, "" if tone in ("good", "dim") else tone


def _delta(run: "Run", _: int, beside: Beside) -> Cell:
    if beside.baseline is None:
        _text, delta, tone = eval_loss_of(run)
        return delta, tone
    if run.id == beside.baseline.id:
        return NONE, "dim"
    mine, its = run.metrics.get(EVAL_LOSS), beside.baseline.metrics.get(EVAL_LOSS)
    if mine is None or its is None:
        return "", "dim"
    distance = mine.last - its.last
    return fmt_delta(distance), "good" if distance < 0 else "look" if distance > 0 else "dim"


def _rate(run: "Run", _: int, __: Beside) -> Cell:
    return (fmt_rate(run.tokens_per_s), "") if run.tokens_per_s is not None else (NONE, "dim")


def _peak(run: "Run", _: int, __: Beside) -> Cell:
    peak = peak_of(run)
    return (fmt_bytes(peak), "") if peak else (NONE, "dim")


def _spark(run: "Run", width: int, beside: Beside) -> Cell:
    return spark(beside.sparks.get(run.id, ()), width)[0], "curve"


def _win_rate(run: "Run", _: int, __: Beside) -> Cell:
    return (f"{run.win_rate:.2f} (n {run.win_votes})", "") if run.win_rate is not None else (NONE, "dim")


def _model(run: "Run", width: int, _: Beside) -> Cell:
    name = clean_line(run.model)
    return name if len(name) <= width else name.rstrip("/").rpartition("/")[2], "dim"


def _dataset(run: "Run", _: int, __: Beside) -> Cell:
    return clean_line(run.dataset), "dim"


def _started(run: "Run", _: int, __: Beside) -> Cell:
    return fmt_when(run.started or run.created), "dim"


COLUMNS = (
    Column("name", "name", 18, 0, _name, sort="name"),
    Column("state", "state", 12, 0, _state, sort="status"),
    Column("progress", "progress", 20, 0, _progress, sort="progress"),
    Column("eval", "eval loss", 10, 0, _eval_loss, right=True, sort="eval/loss"),
    Column("delta", "Δ best", 7, 3, _delta, right=True),
    Column("spark", "loss", SPARK_WIDTH, 5, _spark),
    Column("rate", "tok/s", 7, 4, _rate, right=True, sort="tokens_per_s"),
    Column("peak", "peak", 8, 6, _peak, right=True, sort="peak_vram_bytes"),
    Column("win", "win rate", 13, 2, _win_rate, right=True, sort=WIN_RATE),
    Column("model", "model", 16, 7, _model, sort="model"),
    Column("dataset", "dataset", 14, 8, _dataset, sort="dataset"),
    Column("started", "started", 10, 1, _started, sort=NEWEST),
)
WIDER = {"progress": 26, "name": 40, "model": 28, "dataset": 22}
"""How far a column may grow where there is room."""
AFTER = 5
"""A column that only the order asks for comes after so many others."""


def gap_of(width: int) -> int:
    """Cells between two columns."""
    return WIDE_GAP if width >= ROOMY else GAP


@lru_cache(32)
def fit(width: int, sort: str = NEWEST, voted: bool = False) -> list[tuple[Column, int]]:
    """The columns that fit beside the mark in `width` cells, in order, each with its width.

    What the runs are ordered by (`sort`, a key of the store) is always among them, the win rate where some of them were
    `voted` on.
    """
    shown = [replace(column, keep=0) if column.sort == sort else column for column in COLUMNS]
    shown = [column for column in shown if column.key != "win" or voted or sort == WIN_RATE]
    if not any(column.sort == sort for column in shown):
        shown.insert(AFTER, _ordered_by(sort))
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


def _ordered_by(sort: str) -> Column:
    """A column that shows what the runs are ordered by, where no other one does."""
    title = order_of(sort).title
    width = max(9, min(16, len(title) + 1))
    return Column("order", title, width, 0, partial(_figure, sort), right=True, sort=sort)


def _figure(sort: str, run: "Run", width: int, _: Beside) -> Cell:
    if sort.startswith(SETTING):
        value = run.recipe.get(sort.removeprefix(SETTING))
        return (clean_line(fmt_setting(value)), "") if value is not None else (NONE, "dim")
    if sort.startswith(FIGURE) and sort not in run.metrics:
        return _measured(sort.removeprefix(FIGURE), run)
    if sort in FIGURES:
        return FIGURES[sort](run), ""
    name, part = metric_of(sort)
    latest = run.metrics.get(name)
    value = None if latest is None else {"min": latest.min, "max": latest.max}.get(part, latest.last)
    if value is None:
        return NONE, "dim"
    return fmt_bytes(value) if name.endswith("_bytes") else fmt_number(value), ""


def _measured(name: str, run: "Run") -> Cell:
    """What the run's newest evaluation measured."""
    from engine.evaluation.measures import MEASURES

    value = run.figures.get(name)
    if value is None:
        return NONE, "dim"
    return MEASURES[name].show(value) if name in MEASURES else fmt_number(value), ""


FIGURES: "dict[str, Callable[[Run], str]]" = {
    "duration": lambda run: fmt_duration(took_s(run)),
    "ended": lambda run: fmt_when(run.ended),
    "cost": lambda run: fmt_cost(run.cost),
    "energy_j": lambda run: fmt_energy(run.energy_j),
    "eta_s": lambda run: fmt_duration(run.eta_s),
    "step": lambda run: f"{run.step:,}",
    "method": lambda run: clean_line(run.method),
}
"""What is ordered by without being a metric, a field or a column of its own."""
