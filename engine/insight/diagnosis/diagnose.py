"""From curves to findings: every rule is asked, and what one finding explains another does not repeat."""

from engine.insight.diagnosis.curves import Curves
from engine.insight.diagnosis.records import LEVELS, Finding
from engine.insight.diagnosis.rules import RULES


def diagnose(curves: Curves) -> list[Finding]:
    """What the run's figures show, the worst first, then the surest. Pure; never raises for odd curves."""
    found = [finding for rule in RULES if (finding := rule.find(curves)) is not None]
    return sorted(found, key=lambda one: (LEVELS.index(one.level), -one.confidence, one.code))
