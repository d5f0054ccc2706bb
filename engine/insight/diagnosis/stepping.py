"""Rules on how training loss moves from step to step: too far, not far enough, not at all, or out of the world."""

from math import isfinite, log
from statistics import median

from engine.insight.diagnosis import acts
from engine.insight.diagnosis.curves import Curves, Points
from engine.insight.diagnosis.fitting import EVAL, TRAIN
from engine.insight.diagnosis.records import Act
from engine.insight.diagnosis.rule import Detected, evidence, figure
from engine.insight.diagnosis.shape import Shape, at_step, finite, shape_of

GRADIENT = "train/grad_norm"
RATE = "train/learning_rate"

USUAL = {"full": 2e-5}
USUAL_ADAPTER = 2e-4
"""Learning rates that work for most models; the lower end of what is usual for an adapter is half of it."""

ENOUGH = 10
"""Points of the training loss before its movement is judged."""

HUMP = 5
"""Points that are more than a moment."""


def not_finite(curves: Curves) -> Detected | None:
    """A loss that is no number; of gradients too, but where fp16 lets them overflow and leaves that step out."""
    half = curves.recipe.get("precision") == "fp16"
    for name in (TRAIN, EVAL) if half else (TRAIN, EVAL, GRADIENT):
        points = curves.metrics.get(name, [])
        broken = next((at for at, (_, value) in enumerate(points) if not isfinite(value)), None)
        if broken is None:
            continue
        step, value = points[broken]
        shown: Points = points[max(0, broken - 3) : broken + 1]
        words = "not a number" if value != value else "infinite"
        return Detected(
            step, 1.0, (evidence(name, shown, f"{words} at step {step:,}"),), {"value": words, "metric": name}
        )
    return None


def divergence(curves: Curves) -> Detected | None:
    """Training loss has left its lowest level, or its first one, upwards, and stays there.

    Where there is validation loss, it decides: it has to have risen, too.
    """
    train = shape_of(curves.metrics[TRAIN], least=ENOUGH)
    if train is None or train.lowest <= 0:
        return None
    unseen = _risen(train, finite(curves.metrics.get(EVAL, [])))
    if unseen is None:
        above = train.last - train.lowest
        lost = above > 0.4 * max(train.first - train.lowest, 0.1 * train.first)
        since, lowest, beyond = train.lowest_step, train.lowest, train.last > 1.1 * train.first
        if not (lost or beyond) or above < 0.1 * train.lowest + 4 * train.error:
            return None
        if not _worse_after(finite(curves.metrics.get(EVAL, [])), since):
            return None
    else:
        since, lowest = unseen
        beyond = train.last > 1.1 * train.first
    _, worst = max(train.points, key=lambda point: point[1])
    shown = _spread([point for point in train.points if point[0] >= since], 8)
    return Detected(
        since,
        0.95 if beyond else 0.8,
        (evidence(TRAIN, shown, f"from {figure(lowest)} up to {figure(worst)}, now {figure(train.last)}"),),
        {"lowest": figure(lowest), "last": figure(train.last), "rate": _rate_words(curves)},
    )


def _risen(train: Shape, evaluations: Points) -> tuple[int, float] | None:
    """The step since when both losses are well above what they were, and training loss then; `None` where not both."""
    if len(evaluations) < 2:
        return None
    best_at = min(range(len(evaluations)), key=lambda at: evaluations[at][1])
    step, best = evaluations[best_at]
    near = [point for point in train.points if point[0] >= step][:3]
    if best <= 0 or evaluations[-1][1] < 1.25 * best or best_at == len(evaluations) - 1 or not near:
        return None
    before = median(value for _, value in near)
    return (step, before) if train.last > max(1.15 * before, before + 2 * train.error) else None


def _worse_after(evaluations: Points, since: int) -> bool:
    """Whether validation loss is worse than before `since`, as far as is known.

    Where it is not, harder rows have come, as with stages: the model is no worse for it.
    """
    if len(evaluations) < 2 or evaluations[-1][0] <= since:
        return True
    best = min(value for _, value in evaluations)
    return evaluations[-1][1] >= best + 0.1 * abs(best)


def learning_rate_high(curves: Curves) -> Detected | None:
    """The loss leaps: it jumps well above its level, again and again or for long, and gradients burst with it."""
    train = shape_of(curves.metrics[TRAIN], least=2 * ENOUGH)
    if train is None or train.lowest <= 0:
        return None
    leaps, hump = _leaps(train), _hump(train)
    if not leaps and not hump:
        return None
    bursts = _bursts(curves.metrics.get(GRADIENT, []))
    rate, usual = peak_rate(curves), usual_rate(curves)
    high = min(2.0, max(0.0, log(rate / usual, 10))) if rate else 0.0
    confidence = 0.25 + 0.1 * (min(4, len(leaps)) + min(2, len(bursts)) + high) + (0.2 if hump else 0.0)
    if confidence < 0.6:
        return None
    found = [evidence(TRAIN, leaps[:8] or hump[:8], "well above the level before")]
    if bursts:
        found.append(evidence(GRADIENT, bursts[:8], "several times as long as usual"))
    times = "once" if len(leaps) < 2 else f"{len(leaps)} times"
    return Detected((leaps or hump)[0][0], confidence, tuple(found), {"times": times, "rate": _rate_words(curves)})


def slower(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """From the last good checkpoint with half the learning rate, or a tenth where it is far too high."""
    rate = peak_rate(curves)
    by = 0.1 if rate > 50 * usual_rate(curves) else 0.5
    changes, words = acts.scaled_rate(curves, by)
    return (*acts.branch(curves, max(1, seen.step - 1), changes, words), *acts.stop(curves))


def learning_rate_low(curves: Curves) -> Detected | None:
    """The loss sinks, but hardly, and the learning rate is far below what is usual."""
    train = shape_of(curves.metrics[TRAIN], least=2 * ENOUGH)
    rate, usual = peak_rate(curves), usual_rate(curves)
    if train is None or not rate or rate > usual / 8 or train.first <= 0:
        return None
    if (curves.progress or 0.0) < 0.3:
        return None
    evaluations = finite(curves.metrics.get(EVAL, []))
    whole, now = (evaluations[0][1], evaluations[-1][1]) if len(evaluations) > 2 else (train.first, train.last)
    share = (whole - now) / whole if whole > 0 else 0.0
    if not -0.02 < share < 0.06:
        return None
    found = [evidence(TRAIN, [train.points[0], (train.points[-1][0], train.last)], f"{share:.1%} lower in all")]
    if len(evaluations) > 2:
        found.append(evidence(EVAL, [evaluations[0], evaluations[-1]], f"{share:.1%} lower"))
    found.append(evidence(RATE, _spread(curves.metrics.get(RATE, []), 4), f"at most {rate:g}; {usual:g} is usual"))
    return Detected(
        train.points[0][0],
        min(0.95, 0.6 + 0.1 * log(usual / rate, 10)),
        tuple(found),
        {"rate": f"{rate:g}", "usual": f"{usual:g}", "share": f"{max(0.0, share):.1%}"},
    )


def faster(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """Anew, with a learning rate that is usual."""
    usual = usual_rate(curves)
    return acts.retrain(curves, {"learning_rate": usual}, f"the usual learning rate ({usual:g})")


def frozen(curves: Curves) -> Detected | None:
    """Nothing moves: gradients are zero, or validation loss is the same to the last digit from step 0 on."""
    gradients = finite(curves.metrics.get(GRADIENT, []))
    if len(gradients) >= ENOUGH and max(value for _, value in gradients) < 1e-7:
        return Detected(
            gradients[0][0],
            0.98,
            (evidence(GRADIENT, _spread(gradients, 5), "zero at every step"),),
            {"cause": "No gradient reaches the weights that are to be trained: all of them are frozen or zero."},
        )
    evaluations = finite(curves.metrics.get(EVAL, []))
    if len(evaluations) < 3 or curves.step < ENOUGH:
        return None
    values = [value for _, value in evaluations]
    if max(values) - min(values) > 1e-5 * abs(values[0]):
        return None
    rate, limit = peak_rate(curves), curves.recipe.get("max_grad_norm")
    cause = f"Its steps are too small to change a weight: the learning rate is {rate:g}"
    if isinstance(limit, int | float) and limit < 1e-3:
        cause += f", and gradients are cut to a length of {limit:g}"
    return Detected(
        evaluations[0][0],
        0.95,
        (evidence(EVAL, _spread(evaluations, 5), "the same at every evaluation"),),
        {"cause": cause + "."},
    )


def after_frozen(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """Settings with which weights do move."""
    usual = usual_rate(curves)
    changes: dict[str, object] = {}
    words = []
    if peak_rate(curves) < usual / 8:
        changes["learning_rate"] = usual
        words.append(f"the usual learning rate ({usual:g})")
    limit = curves.recipe.get("max_grad_norm")
    if isinstance(limit, int | float) and limit < 1e-3:
        changes["max_grad_norm"] = 1.0
        words.append("gradients cut at 1")
    if not changes and curves.recipe.get("continue_from"):
        changes["continue_from"] = None
        words.append("a fresh adapter")
    return (*acts.stop(curves), *acts.retrain(curves, changes, " and ".join(words)))


def plateau(curves: Curves) -> Detected | None:
    """The loss fell and then stayed where it is, while the learning rate was still high enough to move it."""
    train = shape_of(curves.metrics[TRAIN], least=3 * ENOUGH)
    if train is None or train.first <= 0 or train.fall < 0.05 * train.first + 3 * train.error:
        return None
    end = train.points[-1][0]
    since = train.points[0][0] + 0.5 * (end - train.points[0][0])
    rates = finite(curves.metrics.get(RATE, []))
    peak = max((value for _, value in rates), default=0.0)
    if peak and (at_step(rates, int(since)) or 0.0) < 0.3 * peak:
        return None
    window = [point for point in train.points if point[0] >= since]
    half = len(window) // 2
    before, after = (median(value for _, value in part) for part in (window[:half], window[half:]))
    gain = (before - after) / before if before > 0 else 0.0
    if abs(gain) > 0.02:
        return None
    evaluations = [point for point in finite(curves.metrics.get(EVAL, [])) if point[0] >= since]
    if len(evaluations) > 1 and (evaluations[0][1] - evaluations[-1][1]) / max(evaluations[0][1], 1e-9) > 0.02:
        return None
    step = window[0][0]
    found = [evidence(TRAIN, [(step, before), (end, after)], f"{gain:+.1%} since step {step:,}")]
    if len(evaluations) > 1:
        found.append(evidence(EVAL, _spread(evaluations, 4), "flat as well"))
    return Detected(step, 0.7, tuple(found), {"level": figure(after)})


def after_plateau(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """Nothing more comes of it."""
    changes, words = acts.scaled_rate(curves, 0.5)
    return (*acts.stop(curves), *(acts.branch(curves, curves.step, changes, words) if curves.live else ()))


def warmup_missing(curves: Curves) -> Detected | None:
    """The first steps, taken at the full learning rate, throw the loss up before it comes down."""
    recipe = curves.recipe
    if recipe.get("lr_scheduler_type") != "constant" and recipe.get("warmup_ratio") != 0.0:
        return None
    train = shape_of(curves.metrics[TRAIN], least=ENOUGH)
    if train is None:
        return None
    begin = train.points[0][1]
    early = train.points[1 : max(5, len(train.points) // 5)]
    step, worst = max(early, key=lambda point: point[1])
    beside = sorted(value for _, value in early)[-3:]
    if worst < 1.15 * begin + 4 * train.noise or beside[0] < 1.08 * begin or train.last > begin:
        return None
    return Detected(
        step,
        0.8,
        (evidence(TRAIN, [train.points[0], *early[:7]], f"from {figure(begin)} up to {figure(worst)}"),),
        {"begin": figure(begin), "worst": figure(worst)},
    )


def after_warmup_missing(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """Begin slowly."""
    changes: dict[str, object] = {"warmup_ratio": 0.1}
    if curves.recipe.get("lr_scheduler_type") == "constant":
        changes["lr_scheduler_type"] = "constant_with_warmup"
    return acts.retrain(curves, changes, "a tenth of the steps to warm up")


def clipping(curves: Curves) -> Detected | None:
    """Nearly every gradient is several times as long as it may be."""
    limit = curves.recipe.get("max_grad_norm")
    gradients = finite(curves.metrics[GRADIENT])
    if not isinstance(limit, int | float) or limit <= 0 or len(gradients) < 2 * ENOUGH:
        return None
    cut = sum(value > limit for _, value in gradients) / len(gradients)
    usual = median(value for _, value in gradients)
    if cut < 0.95 or usual < 5 * limit:
        return None
    return Detected(
        gradients[0][0],
        min(0.95, 0.6 + 0.02 * usual / limit),
        (evidence(GRADIENT, _spread(gradients, 6), f"about {figure(usual)}, and {limit:g} is the limit"),),
        {"share": f"{cut:.0%}", "usual": figure(usual), "limit": f"{limit:g}"},
    )


def after_clipping(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """A limit that cuts bursts alone."""
    usual = median(value for _, value in finite(curves.metrics[GRADIENT]))
    limit = float(f"{2 * usual:.1g}")
    return acts.retrain(curves, {"max_grad_norm": limit}, f"gradients cut at {limit:g}")


def peak_rate(curves: Curves) -> float:
    """The highest learning rate so far; what the recipe asks for, where none was told; 0 where neither is known."""
    rates = [value for _, value in finite(curves.metrics.get(RATE, []))]
    asked = curves.recipe.get("learning_rate")
    told = float(asked) if isinstance(asked, int | float) else 0.0
    return max(told, max(rates, default=0.0))


def usual_rate(curves: Curves) -> float:
    """A learning rate that works for most models, by the method."""
    return USUAL.get(str(curves.recipe.get("method")), USUAL_ADAPTER)


def _rate_words(curves: Curves) -> str:
    rate = peak_rate(curves)
    return f"of {rate:g}" if rate else "that it has"


def _leaps(train: Shape) -> Points:
    """Points that lie well above the level of those before them, and those after them too: one of each leap.

    A point that stands alone is an odd batch, not a step too far.
    """
    found: Points = []
    back = max(5, train.stretch)
    values = [value for _, value in train.points]
    quiet = 0
    for at in range(2, len(values) - 2):
        before = median(values[max(0, at - back) : at])
        after = min(values[at : at + 3])
        leap = values[at] > before + max(0.15 * before, 5 * train.noise)
        leap = leap and after > before + max(0.1 * before, 3 * train.noise)
        if leap and not quiet:
            found.append(train.points[at])
        quiet = back // 2 if leap else max(0, quiet - 1)
    return found


def _hump(train: Shape) -> Points:
    """The points with which the loss first stood, for more than a moment, well above a level that it had reached."""
    values = [value for _, value in train.points]
    # all but one of the points in a window are above its level
    levels = [sorted(values[at : at + HUMP])[1] for at in range(len(values) - HUMP + 1)]
    lowest = levels[0]
    for at, now in enumerate(levels):
        if now > lowest + max(0.2 * lowest, 5 * train.noise):
            return train.points[at : at + HUMP]
        lowest = min(lowest, now)
    return []


def _bursts(gradients: Points) -> Points:
    """Gradients several times as long as is usual in this run."""
    known = finite(gradients)
    if len(known) < 2 * ENOUGH:
        return []
    usual = median(value for _, value in known)
    return [point for point in known if point[1] > 5 * usual > 0]


def _spread(points: Points, most: int) -> Points:
    """At most so many of the points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]
