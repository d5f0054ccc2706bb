"""The study behind a sweep: which parameters come next, and whether a trial is worth going on with.

Optuna chooses and remembers (in the sweep's `study.db`); a grid is laid out here, cell by cell in order, since optuna's
own grid sampler may give a cell twice when trials are asked for side by side. What a trial's evaluations are counted by
is their number, not their step: trials with other batch sizes meet at the same share of their training.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from engine.sweeps.folder import SweepDir, Trial, TrialState
from engine.sweeps.space import Axis, decoded, encoded, is_integer
from engine.sweeps.spec import SweepSpec

RUN, REASON, STEP = "run", "reason", "step"
"""What is kept beside a trial in the study: its run's id, why it ended, the step of its best value."""

_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAIL: TrialState.FAILED,
}

Evaluation = tuple[int, float]
"""Step and value."""


class Study:
    """Trials of one sweep. Made anew from its folder it goes on where it was."""

    def __init__(self, folder: SweepDir, spec: SweepSpec) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._spec = spec
        self._study = optuna.create_study(
            storage=f"sqlite:///{folder.study}",
            study_name=folder.path.name,
            direction=spec.direction,
            pruner=_pruner(spec),
            load_if_exists=True,
        )
        self._cells = spec.cells()
        self._trials: dict[int, optuna.Trial] = {}
        self._reported: dict[int, int] = {}

    @property
    def asked(self) -> int:
        """How many trials have been asked for so far."""
        return len([one for one in self._all() if one.state is not State.WAITING])

    def ask(self) -> int:
        """Choose the parameters of another trial. Returns its number."""
        number = self.asked
        # a sampler a trial: what is chosen depends on the trials before, not on whether the driver was restarted
        self._study.sampler = _sampler(self._spec, number)
        if self._cells and not any(one.state is State.WAITING for one in self._all()):
            self._study.enqueue_trial({name: encoded(value) for name, value in self._cells[number].items()})
        trial = self._study.ask()
        self._trials[trial.number] = trial
        self._suggest(trial)
        return trial.number

    def params(self, number: int) -> dict[str, Any]:
        """The fields of the recipe that a trial sets. A trial that was cut short in its making is made whole."""
        trial = self._trial(number)
        self._suggest(trial)
        return {name: decoded(self._spec.search[name], value) for name, value in trial.params.items()}

    def twin(self, number: int) -> Trial | None:
        """A trial with the same parameters that came to its end: a run of this one would be the same again."""
        params = self.params(number)
        done = [self._row(one) for one in self._all() if one.state is State.COMPLETE]
        return next((trial for trial in done if trial.params == params), None)

    def open_trials(self) -> list[Trial]:
        """Trials without an outcome. Those with a `reason` have been told to stop for it."""
        return [self._row(one) for one in self._all() if one.state is State.RUNNING]

    def set_run(self, number: int, run_id: str) -> None:
        """Note which run a trial is."""
        self._trial(number).set_user_attr(RUN, run_id)

    def set_reason(self, number: int, reason: str) -> None:
        """Note why a trial's run was told to stop."""
        self._trial(number).set_user_attr(REASON, reason)

    def report(self, number: int, evaluations: Sequence[Evaluation]) -> bool:
        """Tell what a trial's evaluations came to; all of them each time. Returns whether there were new ones."""
        trial = self._trial(number)
        known = self._reported.get(number)
        if known is None:
            known = len(self._frozen(number).intermediate_values)
        for place, (_, value) in enumerate(evaluations[known:], known + 1):
            trial.report(value, place)
        self._reported[number] = max(known, len(evaluations))
        return len(evaluations) > known

    def should_prune(self, number: int) -> bool:
        """Whether a trial does worse than others did at the same point."""
        if not self._spec.prune or self._reported.get(number, 0) <= self._spec.warmup_evaluations:
            return False
        if sum(one.state is State.COMPLETE for one in self._all()) < self._spec.startup_trials:
            return False
        return self._trial(number).should_prune()

    def complete(self, number: int, value: float, step: int) -> None:
        """A trial came to its end with this best value."""
        self._trial(number).set_user_attr(STEP, step)
        self._study.tell(number, value)

    def prune(self, number: int, reason: str, best: Evaluation) -> None:
        """A trial was stopped before its end."""
        trial = self._trial(number)
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(STEP, best[0])
        self._study.tell(number, state=State.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """A trial came to nothing."""
        self._trial(number).set_user_attr(REASON, reason)
        self._study.tell(number, state=State.FAIL)

    def trials(self) -> list[Trial]:
        """All of them, in order."""
        return [self._row(one) for one in self._all() if one.state is not State.WAITING]

    # inner workings

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _frozen(self, number: int) -> FrozenTrial:
        return next(one for one in self._all() if one.number == number)

    def _trial(self, number: int) -> optuna.Trial:
        if number not in self._trials:
            self._study.sampler = _sampler(self._spec, number)
            self._trials[number] = optuna.Trial(self._study, self._frozen(number)._trial_id)
        return self._trials[number]

    def _suggest(self, trial: optuna.Trial) -> None:
        """Choose what has not been chosen yet."""
        for name, axis in self._spec.search.items():
            match distribution(name, axis):
                case CategoricalDistribution(choices=choices):
                    trial.suggest_categorical(name, choices)
                case IntDistribution(low=low, high=high, step=step, log=log):
                    trial.suggest_int(name, low, high, step=step, log=log)
                case FloatDistribution(low=low, high=high, step=step, log=log):
                    trial.suggest_float(name, low, high, step=step, log=log)

    def _row(self, one: FrozenTrial) -> Trial:
        values = [value for value in one.intermediate_values.values() if math.isfinite(value)]
        best = (min if self._spec.direction == "minimize" else max)(values, default=None)
        return Trial(
            number=one.number,
            params={name: decoded(self._spec.search[name], value) for name, value in one.params.items()},
            state=_STATES.get(one.state, TrialState.RUNNING),
            value=one.value if one.state is State.COMPLETE else best,
            step=one.user_attrs.get(STEP),
            run_id=str(one.user_attrs.get(RUN, "")),
            reason=str(one.user_attrs.get(REASON, "")),
        )


def distribution(field: str, axis: Axis) -> BaseDistribution:
    """What optuna calls an axis."""
    if axis.values is not None:
        return CategoricalDistribution([encoded(value) for value in axis.values])
    assert axis.low is not None and axis.high is not None, "an axis has values or a range"
    if is_integer(field):
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def _sampler(spec: SweepSpec, number: int) -> optuna.samplers.BaseSampler:
    seed = (spec.seed * 1_000_003 + number) % 2**32
    if spec.method != "tpe":
        return optuna.samplers.RandomSampler(seed=seed)
    by_chance = max(4, min(10, spec.total // 3))
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=by_chance, constant_liar=spec.concurrency > 1)


def _pruner(spec: SweepSpec) -> optuna.pruners.BasePruner:
    if spec.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1)
    return optuna.pruners.MedianPruner(n_startup_trials=spec.startup_trials)
