"""All that a report says, read from the store once; pages, pictures and Markdown are made of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.errors import BadInput
from engine.figures import fmt_duration, fmt_number
from engine.reports.answers import Prompt, read_prompts
from engine.reports.curves import Plot, chosen_metrics, read_plots
from engine.reports.lanes import Lane, lanes_of
from engine.reports.remarks import Remark, read_remarks
from engine.reports.tables import Table, differing_table, metric_table, origin_table, settings_table, took_table
from engine.runs.compare import EVAL_LOSS, TRAIN_LOSS, Comparison, compare
from engine.runs.compare_words import sentence
from engine.text import clean_line
from engine.withheld import open_settings, without_secrets
from store import Store


@dataclass(frozen=True)
class Report:
    """What is said of some runs. Tables have their cells in the order of `lanes`; `baseline` is an index into them."""

    lanes: list[Lane]
    baseline: int
    comparison: Comparison
    sentence: str
    made: float
    """Unix seconds."""
    figures: Table
    differing: Table
    settings: Table
    took: Table
    origin: Table
    plots: list[Plot]
    more_plots: int
    """How many were left out."""
    prompts: list[Prompt]
    more_prompts: int
    remarks: list[Remark]

    @property
    def title(self) -> str:
        names = [lane.name for lane in self.lanes]
        if len(names) == 1:
            return names[0]
        return " · ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more runs"


def read_report(
    store: Store, run_ids: Sequence[str], *, baseline: str | None = None, metrics: Sequence[str] | None = None
) -> Report:
    """All that there is to say of these runs. Call it in a thread.

    Raises `NotFound` for an id without a run, `BadInput` for a baseline that is none of the runs or an unknown metric.
    """
    lanes = lanes_of(store, run_ids)
    against = baseline_index(lanes, baseline)
    names = chosen_metrics(lanes, metrics)
    comparison = compare(store, [lane.run.id for lane in lanes])
    named = [replace(run, name=without_secrets(run.name)) for run in comparison.runs]  # the sentence cuts long names
    shown = replace(comparison, runs=named, differing=open_settings(comparison.differing))  # and it has their values
    plans = {lane.run.id: _plan(store, lane) for lane in lanes}
    plots, more_plots = read_plots(store, lanes, names)
    prompts, more_prompts = read_prompts(store, lanes)
    return Report(
        lanes,
        against,
        comparison,
        clean_line(sentence(shown, against)) if len(lanes) > 1 else _of_one(lanes[0]),
        time.time(),
        metric_table(comparison, names, against),
        differing_table(comparison, against),
        settings_table(lanes, against),
        took_table(lanes),
        origin_table(store, lanes, plans),
        plots,
        more_plots,
        prompts,
        more_prompts,
        read_remarks(store, lanes),
    )


def baseline_index(lanes: Sequence[Lane], baseline: str | None) -> int:
    """Which run the others are measured against: the first, where none is named."""
    if baseline is None:
        return 0
    found = [lane.slot for lane in lanes if lane.run.id == baseline]
    if not found:
        raise BadInput("The baseline is none of the runs.", fix="Name one of the runs that are compared.")
    return found[0]


def _of_one(lane: Lane) -> str:
    run = lane.run
    took = f" after {fmt_duration(lane.took_s)}" if lane.took_s is not None else ""
    for name, words in ((EVAL_LOSS, "validation loss"), (TRAIN_LOSS, "training loss")):
        latest = run.metrics.get(name)
        if latest is not None and latest.min is not None:
            return (
                f"{lane.name}: {lane.state}{took}; {words} {fmt_number(latest.min)} at best, at step {latest.min_step}."
            )
    return f"{lane.name}: {lane.state}{took}; no loss was recorded."


def _plan(store: Store, lane: Lane) -> dict[str, Any]:
    """What the last attempt decided before its first step."""
    events = store.runs.events(lane.run.id, ["plan"], limit=1)
    return events[0].body if events else {}
