"""The columns of a comparison's table: every metric and setting that differs, and what the runs took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.figures import fmt_change, fmt_cost, fmt_energy, fmt_setting
from engine.runs.measures import EVAL_LOSS, TRAIN_LOSS, lower_is_better
from tui.format import NONE, fmt_bytes, fmt_duration, fmt_number, fmt_rate, fmt_when
from tui.text import clean_line, shorten
from tui.widgets.chart_families import family_of, split_of, title_of
from tui.widgets.lanes import Compared
from tui.widgets.run_words import peak_of, state_of, took_s

RATE = "train/tokens_per_s"
ACCURACY = ("eval/mean_token_accuracy", "train/mean_token_accuracy")
SETTING = "cfg."
WIDEST = 24
BASELINE = "baseline"

Cell = tuple[str, str]
"""A text and its tone: `best`, `live`, `good`, `look`, `act`, `dim`, or empty."""

DEFAULT = (EVAL_LOSS, TRAIN_LOSS, *ACCURACY, RATE, "state", "peak", "took")
"""Shown until somebody chooses; metrics only where a run has them."""


@dataclass(frozen=True)
class Column:
    """One column. The one with the highest `keep` goes first where there is no room; 0 stays."""

    key: str
    title: str
    width: int
    keep: int
    cell: Callable[[int, int | None], Cell]
    """Of the run at a place, with the place of the baseline."""
    right: bool = True


@dataclass(frozen=True)
class Fact:
    """A column that is neither metric nor setting. `value` is what it is ordered by."""

    title: str
    width: int
    keep: int
    value: Callable[[Any], Any]
    cell: Callable[[Any], Cell]
    right: bool = True


FACTS = {
    "state": Fact("state", 12, 25, lambda run: str(run.status), lambda run: _state(run), right=False),
    "step": Fact("step", 9, 38, lambda run: run.step, lambda run: (f"{run.step:,}", "dim")),
    "best_step": Fact("best at", 9, 39, lambda run: run.best_step, lambda run: (_count(run.best_step), "dim")),
    "peak": Fact("peak", 8, 40, lambda run: peak_of(run) or None, lambda run: (fmt_bytes(peak_of(run) or None), "")),
    "took": Fact("took", 9, 41, lambda run: took_s(run), lambda run: (fmt_duration(took_s(run)), "dim")),
    "started": Fact("started", 10, 42, lambda run: run.started, lambda run: (fmt_when(run.started), "dim")),
    "energy": Fact("energy", 9, 43, lambda run: run.energy_j, lambda run: (fmt_energy(run.energy_j), "dim")),
    "cost": Fact("cost", 8, 44, lambda run: run.cost, lambda run: (fmt_cost(run.cost), "dim")),
}


def columns(compared: Compared, chosen: Sequence[str] | None) -> list[Column]:
    """The columns to show, in order. `chosen` names metrics, facts and settings; `None` leaves it to the runs."""
    keys = DEFAULT if chosen is None else chosen
    found: list[Column] = []
    metrics = 0
    accuracy = next((name for name in ACCURACY if any(compared.has(name))), ACCURACY[0])
    for key in keys:
        if key in FACTS:
            found.append(_fact(compared, key))
        elif key.startswith(SETTING):
            found.append(_setting(compared, key, 10 + len(found)))
        elif chosen is not None or key == EVAL_LOSS or any(compared.has(key)):
            if chosen is None and key in ACCURACY and key != accuracy:
                continue
            found += [_metric(compared, key, metrics), _delta(compared, key, metrics)]
            metrics += 1
    return [column for column in found if column.key == "state"] + [one for one in found if one.key != "state"]


def choices(compared: Compared) -> dict[str, tuple[str, str]]:
    """Everything that a column can be, or that runs can be ordered by: key → its title and what kind it is."""
    found = {name: (metric_title(name), "metric") for name in compared.metrics}
    found |= {key: (fact.title, "run") for key, fact in FACTS.items()}
    found |= {SETTING + name: (name, "setting that differs") for name in compared.comparison.differing}
    rest = {SETTING + name: (name, "setting") for name in compared.settings}
    return found | {key: words for key, words in rest.items() if key not in found}


def default_keys(compared: Compared) -> list[str]:
    """The keys of the columns that are shown where nobody chose."""
    shown = columns(compared, None)
    return [column.key for column in shown if not column.key.startswith("Δ")]


def values_of(compared: Compared, key: str) -> Sequence[Any]:
    """What runs are ordered by, one value a run; `None` where there is none."""
    if key in FACTS:
        return [FACTS[key].value(lane.run) for lane in compared.lanes]
    if key.startswith(SETTING):
        return compared.settings.get(key.removeprefix(SETTING), [None] * len(compared.lanes))
    return compared.figures(key)


def metric_title(name: str) -> str:
    """A metric in words: `eval loss`, `tokens/s`, `gradient norm`."""
    split, family = split_of(name), family_of(name)
    if split == "eval" or family in ("loss", "mean_token_accuracy"):
        return f"{split} {title_of(family)}".strip()
    if split == "train":
        return title_of(family)
    return clean_line(name).replace("/", " ").replace("_", " ")


def figure_words(name: str, value: float | None) -> str:
    """A metric's value."""
    if value is None:
        return NONE
    if name.endswith("_bytes"):
        return fmt_bytes(value)
    return fmt_rate(value) if name == RATE else fmt_number(value)


def setting_words(value: Any) -> str:
    """A setting's value on one line, whole."""
    return clean_line(fmt_setting(value)) or NONE


def _fact(compared: Compared, key: str) -> Column:
    fact = FACTS[key]
    return Column(
        key,
        fact.title,
        fact.width,
        fact.keep,
        lambda place, _: fact.cell(compared.lanes[place].run),
        right=fact.right,
    )


def _metric(compared: Compared, name: str, number: int) -> Column:
    values, best = compared.figures(name), compared.comparison.best.get(name)

    def cell(place: int, baseline: int | None) -> Cell:
        text = figure_words(name, values[place])
        if values[place] is None:
            return text, "dim"
        return (f"★ {text}", "best") if best == place else (text, "")

    title = shorten(metric_title(name), WIDEST)
    return Column(name, title, max(9, len(title)), number, cell)


def _delta(compared: Compared, name: str, number: int) -> Column:
    values, lower = compared.figures(name), lower_is_better(name)

    def cell(place: int, baseline: int | None) -> Cell:
        if place == baseline:
            return (BASELINE, "dim") if number == 0 else ("", "")
        value, against = values[place], values[baseline] if baseline is not None else None
        if value is None or against is None:
            return "", ""
        gap = value - against
        words = ("-" if gap < 0 else "+") + fmt_bytes(abs(gap)) if name.endswith("_bytes") else fmt_change(gap)
        better = gap != 0 and lower is not None and (gap < 0) is lower
        return words, "good" if better else "dim"

    title = "Δ eval" if not number and name == EVAL_LOSS else "Δ"
    return Column(f"Δ{name}", title, 9, 30 + number if number else 0, cell)


def _setting(compared: Compared, key: str, keep: int) -> Column:
    name = key.removeprefix(SETTING)
    texts = [setting_words(value) for value in values_of(compared, key)]
    title = shorten(clean_line(name), WIDEST)
    width = min(WIDEST, max(len(title), *(len(text) for text in texts)) if texts else len(title))

    def cell(place: int, baseline: int | None) -> Cell:
        same = baseline is not None and place != baseline and texts[place] == texts[baseline]
        return texts[place], "dim" if same else ""

    return Column(key, title, width, keep, cell)


def _state(run: Any) -> Cell:
    state = state_of(run)
    return f"{state.symbol} {state.word}", state.tone


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"
