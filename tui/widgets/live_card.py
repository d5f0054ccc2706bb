"""A live run on a few lines: what it does, how far it is, what it came to, what is wrong; its loss beside that."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui.format import fmt_bytes, fmt_duration, fmt_number, fmt_percent, fmt_rate, fmt_when
from tui.text import clean_line
from tui.widgets.cells import fitted
from tui.widgets.gauge import bar
from tui.widgets.run_headline import left_words
from tui.widgets.run_words import (
    EVAL_LOSS,
    FINDINGS,
    TRAIN_LOSS,
    peak_of,
    phase_of,
    recipe_line,
    short_time,
    state_of,
    took_s,
)
from tui.widgets.sparkline import spark

if TYPE_CHECKING:
    from store.records import Run

Piece = tuple[str, str]
"""A text and its tone: `live`, `good`, `look`, `act`, `dim`, `name`, `curve`, or empty."""

LOW, HIGH = 2, 7
"""The fewest lines of a card, and the most that are worth it."""
RULED = 4
"""From so many lines on, the last one is empty: it keeps cards apart."""
MARK = 2
"""Cells before the words, for the mark."""
WORDS = (48, 84)
"""The least and the most cells of the words, where the curve has room beside them."""


@dataclass(frozen=True)
class LiveRun:
    """A run, its loss, and the worst that is to be said of it."""

    run: "Run"
    curve: tuple[float, ...] = ()
    warning: str = ""

    @property
    def rank(self) -> int:
        """0 for what needs an act, then what needs a look, runs at work, runs that wait, and runs that ended well."""
        run = self.run
        tone = state_of(run).tone
        if tone == "act" or run.stalled is not None:
            return 0
        if not run.status.live:
            return 4
        if tone == "look" or self.warning:
            return 1
        return 3 if run.status.value == "queued" else 2


def in_order(runs: "list[LiveRun]") -> "list[LiveRun]":
    """Those that need a look first, the newest first among equals: nothing that changes by the second moves a card."""
    return sorted(runs, key=lambda one: (one.rank, -one.run.created, one.run.id))


def card_height(lines: int, cards: int) -> int:
    """Lines of each of so many cards, so that all of them are seen in `lines` lines where that can be."""
    return max(LOW, min(HIGH, lines // max(1, cards)))


def card(live: LiveRun, width: int, height: int) -> list[list[Piece]]:
    """The card's lines, in `width` cells without the mark."""
    words = width if width < WORDS[0] + 12 else max(WORDS[0], min(WORDS[1], width * 11 // 20))
    rows = height - 1 if height >= RULED else height
    lines = _low(live, words) if rows < 3 else _high(live, words, rows)
    curve = spark(live.curve, width - words - 2, rows) if width > words else []
    drawn = []
    for number in range(rows):
        pieces = _cut(lines[number] if number < len(lines) else [], words)
        if number < len(curve):
            pieces += [("  ", ""), (curve[number], "curve")]
        drawn.append(pieces)
    return drawn + [[] for _ in range(height - rows)]


def _low(live: LiveRun, width: int) -> list[list[Piece]]:
    run = live.run
    state = state_of(run)
    name = [(fitted(clean_line(run.name), max(10, width - 36)), "name"), (" ", "")]
    head = [*name, (fitted(f"{state.symbol} {state.word}", 13), state.tone), (_how_far(run, 21), "live")]
    if live.warning:
        return [head, [*_figures(run)[:2], (live.warning, _tone(live))]]
    return [head, _figures(run)]


def _high(live: LiveRun, width: int, rows: int) -> list[list[Piece]]:
    run = live.run
    state = state_of(run)
    word = f"{state.symbol} {state.word}"
    room = max(10, width - cell_len(word) - 3)
    name = clean_line(run.name)
    head = [(name if cell_len(name) <= room else fitted(name, room), "name"), ("   ", ""), (word, state.tone)]
    recipe = f"{recipe_line(run.recipe)} · {clean_line(run.model)} · {clean_line(run.dataset)}"
    if not live.warning:
        lines = [head, _progress(run, width), _figures(run), [(recipe, "dim")]]
        return [line for line in lines if line]  # there are no figures yet
    warning = [(live.warning, _tone(live))]
    if rows == 3:
        return [head, [(_how_far(run, 21), "live"), ("   ", ""), *_figures(run)], warning]
    return [head, _progress(run, width), _figures(run), warning, [(recipe, "dim")]]


def _tone(live: LiveRun) -> str:
    found = FINDINGS.get(live.run.finding)
    return "act" if state_of(live.run).tone == "act" else found[1] if found and live.run.stalled is None else "look"


def _how_far(run: "Run", width: int) -> str:
    """A bar, the share and the time left, in few cells."""
    if phase := phase_of(run):
        return phase
    if not run.status.live:
        return f"took {fmt_duration(took)}" if (took := took_s(run)) is not None else ""
    if run.progress is None:
        return f"step {run.step:,}" if run.step else ""
    tail = f" {fmt_percent(run.progress)} {short_time(run.eta_s)}"
    return bar(run.progress, max(4, min(12, width - len(tail)))) + tail


def _progress(run: "Run", width: int) -> list[Piece]:
    if phase := phase_of(run):
        share = run.phase_progress
        return [
            (bar(share, 12) if share is not None else "", "live"),
            (f"  {phase}" if share is not None else phase, ""),
        ]
    step = f"step {run.step:,}" + (f"/{run.total_steps:,}" if run.total_steps else "")
    if not run.status.live:
        reason = clean_line(run.reason)
        took = f" · took {fmt_duration(took)}" if (took := took_s(run)) is not None else ""
        return [(f"{step}{took}", "dim"), (f" · {reason}" if reason else "", "dim")]
    if run.status.value == "queued":
        return [(f"waits since {fmt_when(run.created)}", "dim")]
    if run.progress is None:
        return [(step, "")]
    tail = f" {fmt_percent(run.progress)}   {step}"
    if run.stalled is not None:
        tail += f"   silent since {fmt_when(run.stalled)}"
    elif run.eta_s is not None:
        tail += f"   {left_words(run)}"
    return [(bar(run.progress, max(6, min(24, width - len(tail)))), "live"), (tail, "")]


def _figures(run: "Run") -> list[Piece]:
    """Loss now and best, speed, memory."""
    pieces: list[Piece] = []

    def add(label: str, figure: str, tone: str = "") -> None:
        pieces.extend([(f"{label} ", "dim"), (f"{figure}  ", tone)])

    if train := run.metrics.get(TRAIN_LOSS):
        add("loss", fmt_number(train.last), "name")
    if evals := run.metrics.get(EVAL_LOSS):
        risen = evals.min is not None and evals.last > evals.min
        add("eval", fmt_number(evals.last), "look" if risen else "")
        if risen:
            add("best", fmt_number(evals.min), "good")
    if run.tokens_per_s is not None:
        pieces.append((f"{fmt_rate(run.tokens_per_s)} tok/s  ", ""))
    if peak := peak_of(run):
        pieces.append((fmt_bytes(peak), ""))
    return pieces


def _cut(pieces: list[Piece], width: int) -> list[Piece]:
    """The pieces in exactly `width` cells."""
    kept: list[Piece] = []
    room = width
    for text, tone in pieces:
        length = cell_len(text)
        if length > room:
            kept.append((fitted(text, room), tone))
            return kept
        kept.append((text, tone))
        room -= length
    return [*kept, (" " * room, "")]
