"""Rules on how training and validation loss go together: what was learnt, by heart or not, and from which rows."""

from statistics import median

from engine.insight.diagnosis import acts
from engine.insight.diagnosis.curves import Curves, Points
from engine.insight.diagnosis.records import Act
from engine.insight.diagnosis.rule import Detected, evidence, figure
from engine.insight.diagnosis.shape import Shape, at_step, between, finite, level, noise_of, shape_of

TRAIN, EVAL = "train/loss", "eval/loss"

RISE = 0.02
"""Share by which validation loss has to have risen from its best, in two evaluations, to speak of overfitting."""

BY_HEART = 0.12
"""Training loss below which rows are known word for word: nine tokens in ten are as good as certain."""

FEW_EPOCHS = 4.0
"""Passes over the rows below which a low loss shows easy rows rather than rows learnt by heart."""

FEW_STEPS = 10
"""Steps in which nothing much can be learnt."""


def overfitting(curves: Curves) -> Detected | None:
    """Validation loss rises from its best, evaluation after evaluation, while training loss is below it and falls; or
    it has been at its best for long, while training loss went on to fall far below it."""
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
    rise = min(last, after[-2][1]) / best - 1
    noise = noise_of([value for _, value in evaluations])
    at_best = at_step(train.points, best_step)
    if at_best is None or train.last > 0.97 * best or train.last > at_best + train.noise:
        return None  # training has not gone on to fall: that is something else
    rises = rise >= RISE and last - best >= 3 * noise
    apart = len(after) >= max(3, len(evaluations) // 3) and last > best
    if not rises and not (apart and train.last < min(0.7 * at_best, 0.5 * best)):
        return None
    course = f"has risen from {figure(best)} to {figure(last)}"
    if not rises:
        course = f"has not fallen below {figure(best)} since"
    return Detected(
        best_step,
        0.6 + min(0.35, max(0.0, rise)),
        (
            evidence(EVAL, [evaluations[best_at], *after], course.removeprefix("has ")),
            evidence(TRAIN, [(best_step, at_best), (train.points[-1][0], train.last)], f"down to {figure(train.last)}"),
        ),
        {"best": figure(best), "last": figure(last), "train": figure(train.last), "course": course},
    )


def after_overfitting(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """Stop and keep the best; then train with more to hold it back."""
    return (*acts.stop(curves), *acts.retrain(curves, *acts.gentler(curves)), *acts.data("look at the rows"))


def memorisation(curves: Curves) -> Detected | None:
    """Training loss near 0 after many passes over the rows; validation loss, where there is one, far above and no
    longer falling."""
    train = shape_of(curves.metrics[TRAIN], least=10)
    if train is None or curves.recipe.get("objective") == "dpo":
        return None
    epochs = curves.epoch or 0.0
    if train.last > BY_HEART or epochs < FEW_EPOCHS:
        return None
    since = next(step for step, value in train.points if value <= 2 * BY_HEART)
    evaluations = finite(curves.metrics.get(EVAL, []))
    found = [evidence(TRAIN, [train.points[0], (train.points[-1][0], train.last)], f"down to {figure(train.last)}")]
    if evaluations:
        unseen = evaluations[-1][1]
        then = at_step(evaluations, since)
        if unseen < 3 * train.last + 0.1 or (then is not None and unseen < 0.97 * then):
            return None  # it knows the others as well, or still learns something about them
        found.append(evidence(EVAL, evaluations[-3:], f"still {figure(unseen)} on rows it has not seen"))
    rows = f"{curves.train_rows:,} rows" if curves.train_rows else "the rows"
    return Detected(
        since,
        0.9 if evaluations else 0.75,
        tuple(found),
        {"train": figure(train.last), "rows": rows, "epochs": f"{epochs:.3g}"},
    )


def after_memorisation(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """Fewer passes."""
    total, epochs = curves.total_steps, curves.recipe.get("num_train_epochs")
    best = curves.best_step
    changes: dict[str, object] = {}
    if isinstance(epochs, int | float) and total and (curves.recipe.get("max_steps") or -1) < 0:
        fewer = max(1.0, round(epochs * (best if best else seen.step) / total))
        if fewer < epochs:
            changes = {"num_train_epochs": fewer}
    words = f"{changes['num_train_epochs']:g} epochs" if changes else ""
    again = acts.retrain(curves, changes, words) or acts.retrain(curves, *acts.gentler(curves))
    return (*acts.stop(curves), *again, *acts.data("add rows"))


def leak(curves: Curves) -> Detected | None:
    """Validation loss is no higher than training loss though rows were seen many times, and fell for that alone.

    Rows that are easy show the same in their first passes: there, unseen ones become as easy as the others at once.
    """
    train = shape_of(curves.metrics[TRAIN], least=10)
    evaluations = finite(curves.metrics[EVAL])
    if train is None or len(evaluations) < 5 or curves.recipe.get("objective") == "dpo":
        return None
    told, epochs = curves.leaking_rows, curves.epoch or 0.0
    reported = bool(told and curves.eval_rows and told >= 0.05 * curves.eval_rows)
    late = evaluations[len(evaluations) // 2 :]
    beside = [(step, level(between(train.points, *_around(evaluations, step)))) for step, _ in late]
    gaps = [(value - near) / near for (_, value), (_, near) in zip(late, beside, strict=True) if near > 0]
    seen = bool(gaps) and median(gaps) <= 0 and epochs >= FEW_EPOCHS and _fell_by_repetition(train, evaluations, curves)
    if not (reported or (seen and told != 0)):
        return None
    said = f"The dataset's report counts {told:,} such rows." if told else "The dataset's report would say which."
    return Detected(
        late[0][0],
        (0.95 if seen else 0.85) if reported else 0.7,
        (
            evidence(EVAL, late, "no higher than training loss" if seen else "of rows that training has, in part"),
            evidence(TRAIN, beside, "beside it"),
        ),
        {"eval": figure(late[-1][1]), "train": figure(beside[-1][1]), "counted": said},
    )


def _around(evaluations: Points, step: int) -> tuple[float, float]:
    """The steps that are nearer to the evaluation at `step` than to another one."""
    half = (evaluations[-1][0] - evaluations[0][0]) / (len(evaluations) - 1) / 2
    return step - half, step + half


def _fell_by_repetition(train: Shape, evaluations: Points, curves: Curves) -> bool:
    """Whether validation loss fell to less than half, and for the most part after the second pass over the rows.

    Where two passes are a few steps only, nobody could learn anything in them: then rows have to be known by heart.
    """
    first, last = evaluations[0][1], evaluations[-1][1]
    twice = curves.step * 2 / curves.epoch if curves.epoch else 0.0
    then = at_step(evaluations, int(twice))
    if then is None or last > 0.5 * first or then - last < 0.5 * (first - last):
        return False
    return twice >= FEW_STEPS or train.last < 2 * BY_HEART


def after_leak(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """The data is to be mended."""
    return (*acts.data("look at the dataset's splits"), *acts.stop(curves))


def no_validation(curves: Curves) -> Detected | None:
    """Nothing was held back."""
    if curves.eval_rows != 0 or curves.metrics.get(EVAL):
        return None
    step, value = curves.metrics[TRAIN][-1]
    return Detected(0, 1.0, (evidence(TRAIN, [(step, value)], "of rows that it is trained on"),))


def after_no_validation(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """A split is to be made."""
    return acts.data("hold rows back")
