"""The words around a chart's curves: its title and legend above, the labels of the x-axis below."""

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len

from tui.format import fmt_count, fmt_duration, fmt_number
from tui.text import clean_line, shorten
from tui.widgets import axes
from tui.widgets.chart_data import ChartSeries, Marker, Reading
from tui.widgets.chart_look import Look

Span = tuple[str, str]
"""Text and its colour: `axis`, `label`, `text`, `marker`, `best`, `bad`, `cross`, or the style of a series."""


def marker_style(symbol: str) -> str:
    """The colour of a marker's symbol."""
    return {"★": "best", "⚠": "bad", "×": "bad"}.get(symbol, "marker")


def x_words(axis: str, x: float) -> str:
    """An x of an axis in words: `step 120`, `epoch 1.25`, `12 m`, `1.2 M tokens`."""
    if axis == "time":
        return fmt_duration(x) if x >= 10 or x == int(x) else f"{x:.1f} s"
    if axis == "epoch":
        return f"epoch {x:.2f}"
    if axis == "tokens":
        return f"{fmt_count(round(x))} tokens"
    return f"step {x:,.0f}" if x == int(x) else f"step {x:,.2f}"


def legend(
    series: Sequence[ChartSeries],
    readings: Sequence[Reading | None],
    markers: Sequence[Marker],
    look: Look,
    crossed: tuple[float, float] | None,
    width: int,
) -> list[Span]:
    """The line above the curves, with as much as there is room for.

    `readings` has what is read of each series: at the crosshair, else its last point; `crossed` is the crosshair's x
    and step.
    """
    for level in range(5):
        spans = _legend(series, readings, markers, look, crossed, level)
        if sum(cell_len(text) for text, _ in spans) <= width:
            break
    return spans


def _legend(
    series: Sequence[ChartSeries],
    readings: Sequence[Reading | None],
    markers: Sequence[Marker],
    look: Look,
    crossed: tuple[float, float] | None,
    level: int,
) -> list[Span]:
    """Level 0 says everything; 1 leaves the words of markers out, 2 notes and symbols, 3 shortens, 4 only figures.

    Labels that begin with a letter of their own, as those of many runs do, keep that letter to the last.
    """
    gap = "   " if level < 2 else "  " if level < 3 else " "
    spans: list[Span] = []
    if look.title:
        mark = "▸ " if look.picked else "  " if look.among else ""
        spans.append(
            (mark + ("⚑ " if look.pinned else "") + clean_line(look.title), "picked" if look.picked else "title")
        )
        spans.append((gap, "label"))
    elif level < 4:
        spans.append((" ", "label"))
    if crossed is not None:
        at = x_words(look.axis, crossed[0])
        if look.axis != "step" and level < 2:
            at += f" · step {crossed[1]:,.0f}"
        spans.append((at + gap, "text"))
    alone = len(series) == 1 and bool(look.title)
    for item, reading in zip(series, readings, strict=True):
        if item.quiet:
            continue
        label = shorten(clean_line(item.label), 28 if level < 3 else 8)
        named = bool(label) and level < 4 and not (alone and (level > 1 or label == look.title))
        letter, space, _ = label.partition(" ")
        lettered = level > 2 and bool(space) and len(letter) < 3
        spans.append((f"{letter if lettered else '━'} ", item.style))
        if named and not lettered:
            spans.append((f"{label} ", "label"))
        spans.append((_reading_words(reading, level, crossed=crossed is not None) + gap, "text"))
    if level < 2:
        spans += _marker_spans(markers, level)
    notes = _notes(series, look, level)
    if notes:
        spans.append((", ".join(notes), "label"))
    return spans


def _marker_spans(markers: Sequence[Marker], level: int) -> list[Span]:
    spans: list[Span] = []
    for symbol, name in dict.fromkeys((marker.symbol, clean_line(marker.label)) for marker in markers):
        spans.append((symbol, marker_style(symbol)))
        spans.append((f" {shorten(name, 24)}   " if level < 1 else " ", "label"))
    return spans


def _reading_words(reading: Reading | None, level: int, *, crossed: bool) -> str:
    if reading is None:
        return "–"
    words = fmt_number(reading.value)
    if reading.away and level < 3:
        words += f" @{reading.step:,.0f}"
    if crossed and reading.low < reading.high and level < 2:
        words += f" ({fmt_number(reading.low)}…{fmt_number(reading.high)})"
    return words


def _notes(series: Sequence[ChartSeries], look: Look, level: int) -> list[str]:
    notes = ["log"] if look.log else []
    if level < 2:
        if look.smoothing and any(item.smooth for item in series):
            notes.append(f"smoothed {look.smoothing:g}")
        if len(series) == 1 and len(series[0].steps) == 1:
            notes.append("one point so far")
        if look.view is not None:
            notes.append("0 shows all")
    return notes


def x_labels(axis: str, first: float, last: float, left: int, columns: int) -> list[Span]:
    """The line below the curves, which begin at column `left`."""
    most = max(3, columns // 12)
    unit = ""
    if axis == "time":
        values = axes.time_ticks(first, last, most)
        texts = axes.time_labels(values)
    else:
        values, unit = axes.ticks(first, last, most), axis
        if axis in ("step", "tokens"):
            values = [value for value in values if value == int(value)]
        texts = axes.labels(values)
    if any(before == after for before, after in pairwise(texts)):
        values, texts = [], []
    line = [" "] * (left + columns)
    room, end = len(line), 0
    if unit and len(unit) * 3 < columns:
        line[len(line) - len(unit) :] = unit
        room -= len(unit) + 1
    for value, text in zip(values, texts, strict=True):
        at = left + round((value - first) / (last - first) * (columns - 1)) - len(text) // 2
        at = max(at, left) if unit else min(max(at, left), room - len(text))
        if end <= at <= room - len(text):
            line[at : at + len(text)] = text
            end = at + len(text) + 1
    return [("".join(line), "label")]
