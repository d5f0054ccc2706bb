"""From curves to findings: every rule is asked, and what one finding explains already is not told again."""

from engine.insight.diagnosis.curves import Curves
from engine.insight.diagnosis.fitting import EVAL, TRAIN
from engine.insight.diagnosis.records import LEVELS, Finding
from engine.insight.diagnosis.rule import evidence, figure
from engine.insight.diagnosis.rules import EXPLAINS, RULES
from engine.insight.diagnosis.shape import finite, shape_of

HEALTHY = "healthy"
"""The code of the finding that all is well. It is shown, and not kept: a list of faults has no place for it."""


def diagnose(curves: Curves) -> list[Finding]:
    """What the run's figures show, the worst first, then the surest; that all is well, where it is.

    Pure, and never raises for odd curves. Early in a run it is empty.
    """
    found = [finding for rule in RULES if (finding := rule.find(curves)) is not None]
    explained = {code for finding in found for code in EXPLAINS.get(finding.code, ())}
    told = [finding for finding in found if finding.code not in explained]
    fine = all(finding.level == "info" and finding.code != "plateau" for finding in told)
    if fine and (healthy := _healthy(curves)) is not None:
        told.append(healthy)
    return sorted(told, key=lambda one: (LEVELS.index(one.level), one.code == HEALTHY, -one.confidence, one.code))


def _healthy(curves: Curves) -> Finding | None:
    """The loss falls, and validation loss with it."""
    train = shape_of(curves.metrics.get(TRAIN, []), least=10)
    if train is None or train.fall < max(0.02 * abs(train.first), 3 * train.error):
        return None
    last = train.points[-1][0]
    found = [evidence(TRAIN, [(train.points[0][0], train.first), (last, train.last)], "falls steadily")]
    title = f"Learning well: training loss {figure(train.first)} → {figure(train.last)}"
    evaluations = finite(curves.metrics.get(EVAL, []))
    if len(evaluations) > 1:
        first, best = evaluations[0], min(evaluations, key=lambda point: point[1])
        if best[1] >= first[1]:
            return None
        found.append(evidence(EVAL, [first, best], "follows"))
        title = f"Learning well: validation loss {figure(first[1])} → {figure(best[1])}"
    why = "Training loss decreases steadily"
    why += ", and validation loss follows it." if len(evaluations) > 1 else "."
    return Finding(HEALTHY, "info", title, why, 0.8, last, tuple(found))
