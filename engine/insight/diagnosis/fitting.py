"""Rules on how training and validation loss go together: what was learnt, by heart or not, and from which rows."""

from math import isfinite

from engine.insight.diagnosis import acts
from engine.insight.diagnosis.curves import Curves, Points
from engine.insight.diagnosis.records import Act
from engine.insight.diagnosis.rule import Detected, evidence, figure
from engine.insight.diagnosis.shape import at_step, finite, noise_of, shape_of

TRAIN, EVAL = "train/loss", "eval/loss"


def overfitting(curves: Curves) -> Detected | None:
    """Validation loss rises from its best, evaluation after evaluation, while training loss is below it and falls."""
    evaluations = finite(curves.metrics[EVAL])
    train = shape_of(curves.metrics[TRAIN])
    if len(evaluations) < 3 or train is None:
        return None
    best_at = min(range(len(evaluations)), key=lambda at: evaluations[at][1])
    best_step, best = evaluations[best_at]
    after = evaluations[best_at + 1 :]
    if len(after) < 2 or best <= 0:
        return None
    last = after[-1][1]
    rise = min(after[-1][1], after[-2][1]) / best - 1
    noise = noise_of([value for _, value in evaluations])
    if rise < 0.02 or last - best < 3 * noise:
        return None
    at_best = at_step(train.points, best_step)
    if train.last > 0.97 * best or at_best is None or train.last > at_best + train.noise:
        return None  # training has not gone on to fall: that is something else
    return Detected(
        best_step,
        0.6 + min(0.35, rise),
        (
            evidence(EVAL, [evaluations[best_at], *after], f"from {figure(best)} up to {figure(last)}"),
            evidence(TRAIN, [(best_step, at_best), (train.points[-1][0], train.last)], f"down to {figure(train.last)}"),
        ),
        {"best": figure(best), "last": figure(last), "train": figure(train.last)},
    )


def after_overfitting(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    return (*acts.stop(curves), *acts.retrain(curves, *acts.gentler(curves)))


def not_finite(curves: Curves) -> Detected | None:
    """A loss that is no number; of gradients too, but where fp16 lets them overflow and leaves that step out."""
    half = curves.recipe.get("precision") == "fp16"
    for name in (TRAIN, EVAL) if half else (TRAIN, EVAL, "train/grad_norm"):
        points = curves.metrics.get(name, [])
        broken = next((at for at, (_, value) in enumerate(points) if not isfinite(value)), None)
        if broken is None:
            continue
        step, value = points[broken]
        shown: Points = points[max(0, broken - 3) : broken + 1]
        return Detected(
            step, 1.0, (evidence(name, shown, f"{value} at step {step:,}"),), {"value": str(value), "metric": name}
        )
    return None


def after_not_finite(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    changes, words = acts.scaled_rate(curves, 0.5)
    return (*acts.branch(curves, seen.step - 1, changes, words), *acts.stop(curves)) if changes else acts.stop(curves)
