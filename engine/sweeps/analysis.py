"""What a sweep has found out: its trials beside their runs, the best so far, which parameter mattered.

`read_sweep` reads files and the store, `importance` may import optuna: both belong into a thread.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.sweeps.folder import SweepDir, Trial, TrialState
from engine.sweeps.space import Axis, encoded
from engine.sweeps.spec import SweepSpec
from store import Store
from store.records import Run, Status, Sweep

FEWEST = 4
"""Below so many trials with a value nothing is said of what mattered."""

ENOUGH = 12
"""From so many on it is measured by PED-ANOVA (Watanabe and others 2023), below by ranks."""


@dataclass(frozen=True)
class TrialView:
    """A trial as people see it: what it tried, what came of it, the run behind it."""

    number: int
    params: dict[str, Any]
    state: str
    """`queued`, `running`, `stopped` (with the sweep), `complete`, `pruned` or `failed`."""
    value: float | None
    """The best of the metric so far."""
    step: int | None
    reason: str
    run: Run | None
    duration_s: float | None

    @property
    def id(self) -> str:
        return str(self.number)


@dataclass(frozen=True)
class Importance:
    """How much each parameter decided of the metric: shares that add up to 1, the largest first.

    Empty, with the reason in `unknown`, where it cannot be said. `how` tells by what it was measured.
    """

    shares: dict[str, float] = field(default_factory=dict)
    unknown: str = ""
    how: str = ""


@dataclass(frozen=True)
class SweepView:
    """A sweep as it stands."""

    sweep: Sweep
    spec: SweepSpec | None
    """`None` where its spec was written by another version and is not understood."""
    trials: list[TrialView]
    total: int
    best: TrialView | None

    @property
    def done(self) -> int:
        """Trials with an outcome."""
        return sum(trial.state in ("complete", "pruned", "failed") for trial in self.trials)

    @property
    def metric(self) -> str:
        return self.spec.metric if self.spec else str(self.sweep.spec.get("metric", "eval/loss"))

    @property
    def lower_is_better(self) -> bool:
        return self.sweep.spec.get("direction") != "maximize"

    def ranked(self) -> list[TrialView]:
        """Best first; those without a value last."""
        sign = 1 if self.lower_is_better else -1
        return sorted(self.trials, key=lambda one: (one.value is None, sign * (one.value or 0.0), one.number))

    def best_so_far(self) -> list[tuple[int, float]]:
        """For each trial that came to its end the best of it and those before: its number from 1, and the value."""
        pick = min if self.lower_is_better else max
        found: list[tuple[int, float]] = []
        for trial in self.trials:
            if trial.value is not None and trial.state == "complete":
                found.append((trial.number + 1, pick([trial.value, *(value for _, value in found[-1:])])))
        return found


def read_sweep(store: Store, sweep: Sweep) -> SweepView:
    """Everything about a sweep but what mattered. Reads files and the store."""
    folder = SweepDir(Path(sweep.dir))
    try:
        spec: SweepSpec | None = folder.read_spec()
    except BadInput:
        spec = None
    metric = spec.metric if spec else "eval/loss"
    trials = [_view(store, trial, metric, sweep) for trial in folder.read_trials()]
    pick = max if sweep.spec.get("direction") == "maximize" else min
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    best = pick(complete, key=lambda one: one.value or 0.0, default=None)
    return SweepView(sweep, spec, trials, spec.total if spec else len(trials), best)


def importance(view: SweepView) -> Importance:
    """Which parameter mattered, by trials that ended or were pruned."""
    axes = view.spec.search if view.spec else {}
    if len(axes) < 2:
        return Importance(unknown="one field is varied" if axes else "its spec cannot be read")
    rows = [trial for trial in view.trials if trial.state in ("complete", "pruned") and trial.value is not None]
    if len(rows) < FEWEST:
        return Importance(unknown=f"too few trials: {len(rows)} of at least {FEWEST} have a value")
    values = [trial.value for trial in rows if trial.value is not None]
    if len(set(values)) < 2:
        return Importance(unknown="all trials came to the same")
    params = [trial.params for trial in rows]
    if len(rows) >= ENOUGH:
        return Importance(_shares(_by_anova(axes, params, values, view.lower_is_better)), how="PED-ANOVA")
    return Importance(_shares(_by_ranks(axes, params, values)), how=f"by ranks of {len(rows)} trials: a hint")


def _view(store: Store, trial: Trial, metric: str, sweep: Sweep) -> TrialView:
    run = store.runs.get(trial.run_id) if trial.run_id else None
    state, value = str(trial.state), trial.value
    if trial.state is TrialState.RUNNING and run is not None:
        if run.status is Status.QUEUED:
            state = "queued"
        elif not run.status.live and not sweep.status.live:
            state = str(run.status) if run.status is not Status.SUCCEEDED else "running"
    took = None
    if run is not None and run.started is not None:
        end = run.ended or run.heartbeat
        took = end - run.started if end else None
    step = trial.step if trial.step is not None else (run.step if run else None)
    return TrialView(trial.number, trial.params, state, value, step, trial.reason, run, took)


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    whole = sum(weights.values())
    found = {name: weight / whole if whole > 0 else 1 / len(weights) for name, weight in weights.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _by_anova(
    axes: Mapping[str, Axis], params: Sequence[Mapping[str, Any]], values: Sequence[float], minimize: bool
) -> dict[str, float]:
    import optuna

    from engine.sweeps.study import distribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize" if minimize else "maximize")
    distributions = {name: distribution(name, axis) for name, axis in axes.items()}
    for row, value in zip(params, values, strict=True):
        known = {name: encoded(value) for name, value in row.items()}
        study.add_trial(optuna.trial.create_trial(params=known, distributions=distributions, value=value))
    # the best quarter of few trials is a handful, the best tenth would be one or two
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _by_ranks(
    axes: Mapping[str, Axis], params: Sequence[Mapping[str, Any]], values: Sequence[float]
) -> dict[str, float]:
    """How much of the ranks' spread each parameter explains, 0 to 1.

    A list of values by its groups (epsilon squared: chance alone gives about 0), a range by rank correlation squared.
    """
    ranks = _ranks(values)
    found = {}
    for name, axis in axes.items():
        column = [row[name] for row in params]
        groups: dict[Any, list[float]] = {}
        for value, rank in zip(column, ranks, strict=True):
            groups.setdefault(encoded(value), []).append(rank)
        if axis.values is not None and 1 < len(groups) < len(ranks):
            found[name] = _explained(groups, ranks)
        elif all(isinstance(value, (int, float)) for value in column):
            found[name] = _correlation(_ranks(column), ranks) ** 2
        else:
            found[name] = 0.0
    return found


def _explained(groups: Mapping[Any, Sequence[float]], ranks: Sequence[float]) -> float:
    mean = sum(ranks) / len(ranks)
    spread = sum((rank - mean) ** 2 for rank in ranks)
    within = sum((rank - sum(group) / len(group)) ** 2 for group in groups.values() for rank in group)
    count, kinds = len(ranks), len(groups)
    return max(0.0, 1 - within / (count - kinds) * (count - 1) / spread)


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    mean_one, mean_other = sum(one) / len(one), sum(other) / len(other)
    product = sum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    spread = math.sqrt(sum((a - mean_one) ** 2 for a in one) * sum((b - mean_other) ** 2 for b in other))
    return product / spread if spread else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    """The place of each value among all, from 0; equal values share the middle of their places."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values)):
        places.setdefault(value, []).append(place)
    return [sum(places[value]) / len(places[value]) for value in values]
