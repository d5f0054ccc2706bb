"""What runs can be sorted by: columns, settings (`cfg.lora_r`), what evaluations measured (`eval.bleu`), and what
metrics came to (`eval/loss.min`).
"""

from collections.abc import Callable

from store.errors import QueryError
from store.query import Clause, Names, close_to
from store.run_language import (
    DURATION,
    FIGURE,
    PROGRESS,
    SETTING,
    WIN_RATE,
    figure_value,
    metric_of,
    metric_value,
    setting_value,
)

SORTS = {
    "created": "r.created",
    "name": "lower(r.name)",
    "status": "r.status",
    "started": "r.started",
    "ended": "r.ended",
    "duration": DURATION,
    "model": "lower(r.model)",
    "method": "r.method",
    "dataset": "lower(r.dataset)",
    "step": "r.step",
    "total_steps": "r.total_steps",
    "best_step": "r.best_step",
    "progress": PROGRESS,
    "eta_s": "r.eta_s",
    "tokens_per_s": "r.tokens_per_s",
    "peak_vram_bytes": "r.peak_vram_bytes",
    "cost": "r.cost",
    "energy_j": "r.energy_j",
    "power_w": "r.power_w",
    "attempt": "r.attempt",
    "alerts": "r.alerts",
    "win_rate": WIN_RATE,
    "failure": "nullif(r.failure, '')",
    "source": "nullif(r.source, '')",
}
"""Columns, by the names of the fields of a run's JSON document where there is one."""

SHORT = {"eta": "eta_s", "peak": "peak_vram_bytes", "energy": "energy_j", "power": "power_w", "win": "win_rate"}
"""What the filter language calls some of them."""


def sort_key(sort: str, names: Callable[[], Names]) -> Clause:
    """An expression over `runs r` and its parameters. Raises `QueryError` for what runs cannot be sorted by."""
    column = SORTS.get(SHORT.get(sort, sort))
    if column is not None:
        return column, []
    if sort.lower().startswith(SETTING) and len(sort) > len(SETTING):
        return setting_value(sort[len(SETTING) :])
    known = names()
    if sort.lower().startswith(FIGURE) and len(sort) > len(FIGURE) and sort not in known.metrics:
        return figure_value(sort[len(FIGURE) :])
    metric = metric_of(sort, known)
    if metric is not None:
        return metric_value(*metric)
    meant = close_to(
        sort,
        [
            *SORTS,
            *known.metrics,
            *(f"{SETTING}{name}" for name in known.settings),
            *(f"{FIGURE}{name}" for name in known.figures),
        ],
    )
    question = f"Did you mean {' or '.join(meant)}? " if meant else ""
    raise QueryError(
        f"Runs cannot be sorted by {sort!r}.",
        "",
        f"{question}Keys: {', '.join(SORTS)}, a setting (cfg.lora_r), what was evaluated (eval.bleu), "
        "or a metric (eval/loss, eval/loss.min).",
    )
