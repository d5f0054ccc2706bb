"""What a list of runs can be ordered by, in words: the columns, every metric, every field of the recipe."""

from collections.abc import Iterable
from dataclasses import dataclass

from tui.text import clean_line

NEWEST = "created"
SETTING = "cfg."
"""Before the name of a recipe's field, in an order as in a filter."""
FIGURE = "eval."
"""Before the name of what evaluations measured."""
PARTS = {"min": "lowest", "max": "highest"}
"""What a metric is ordered by besides its last value."""


@dataclass(frozen=True)
class Order:
    """`key` is the store's; `descending` is which way round people want to see it first."""

    key: str
    title: str
    descending: bool
    detail: str = ""


COLUMNS = (
    Order(NEWEST, "started", True, "the newest first"),
    Order("name", "name", False),
    Order("status", "state", False),
    Order("progress", "progress", True, "the furthest first"),
    Order("eval/loss", "eval loss", False, "the last one; the lowest first"),
    Order("eval/loss.min", "best eval loss", False, "the lowest first"),
    Order("tokens_per_s", "tok/s", True, "the fastest first"),
    Order("peak_vram_bytes", "peak", True, "the most GPU memory first"),
    Order("duration", "duration", True, "the longest first"),
    Order("cost", "cost", True, "the dearest first"),
    Order("energy_j", "energy", True, "the most first"),
    Order("win_rate", "win rate", True, "the most often preferred in the arena first"),
    Order("ended", "ended", True, "the last to end first"),
    Order("eta_s", "time left", False, "the soonest first"),
    Order("step", "step", True),
    Order("model", "model", False),
    Order("dataset", "dataset", False),
    Order("method", "method", False),
)


def order_of(key: str) -> Order:
    """The order by `key`: a metric's name, one with `.min` or `.max`, a field after `cfg.`, a figure after `eval.`."""
    for order in COLUMNS:
        if order.key == key:
            return order
    if key.startswith(SETTING):
        return Order(key, clean_line(key.removeprefix(SETTING)), True, "of the recipe")
    if key.startswith(FIGURE):
        from engine.evaluation.measures import MEASURES

        measure = MEASURES.get(key.removeprefix(FIGURE))
        title = measure.label if measure else clean_line(key.removeprefix(FIGURE))
        descending = measure.better != "lower" if measure else not _better_low(key)
        return Order(key, title, descending, "of the newest evaluation")
    name, part = metric_of(key)
    title = clean_line(name)
    return Order(key, f"{PARTS[part]} {title}" if part in PARTS else title, not _better_low(name), "metric")


def metric_of(key: str) -> tuple[str, str]:
    """A metric's name and what of it: `("eval/loss", "min")`; the part is `last` where the key names none."""
    name, dot, part = key.rpartition(".")
    return (name, part) if dot and part in (*PARTS, "last") else (key, "last")


def orders(metrics: Iterable[str], settings: Iterable[str], figures: Iterable[str] = ()) -> list[Order]:
    """Everything there is to order by: the columns, what was evaluated, the metrics and the recipe's fields by name."""
    keys = [f"{FIGURE}{name}" for name in figures]
    keys += [key for name in sorted(metrics) for key in (name, f"{name}.{'min' if _better_low(name) else 'max'}")]
    keys += [f"{SETTING}{name}" for name in sorted(settings)]
    known = {order.key for order in COLUMNS}
    return [*COLUMNS, *(order_of(key) for key in keys if key not in known)]


def _better_low(metric: str) -> bool:
    return any(word in metric for word in ("loss", "perplexity", "error", "entropy"))
