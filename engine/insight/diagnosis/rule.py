"""What a rule is: data. `rules.py` has the table of them all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.insight.diagnosis.curves import Curves
from engine.insight.diagnosis.records import Act, Evidence, Finding, Level


@dataclass(frozen=True)
class Detected:
    """What a rule saw: where it began, how sure it is, on what it rests, and the figures that its words name."""

    step: int
    confidence: float
    evidence: tuple[Evidence, ...]
    figures: Mapping[str, str] = field(default_factory=dict)
    level: Level | None = None
    """Where it is other than the rule's usual one."""


@dataclass(frozen=True)
class Rule:
    """One kind of finding."""

    code: str
    level: Level
    needs: tuple[str, ...]
    """Metrics without which there is nothing to see."""
    title: str
    """With the names of `Detected.figures` in braces, and `{step}`."""
    why: str
    """The same: what it means, then what helps."""
    detect: Callable[[Curves], Detected | None]
    acts: Callable[[Curves, Detected], tuple[Act, ...]]

    def find(self, curves: Curves) -> Finding | None:
        """The finding, where the rule sees one."""
        if any(not curves.metrics.get(name) for name in self.needs):
            return None
        seen = self.detect(curves)
        if seen is None:
            return None
        figures = {"step": f"{seen.step:,}", **seen.figures}
        return Finding(
            self.code,
            seen.level or self.level,
            self.title.format(**figures),
            self.why.format(**figures),
            round(min(1.0, max(0.0, seen.confidence)), 2),
            seen.step,
            seen.evidence,
            self.acts(curves, seen) if not curves.source else (),
        )


def evidence(metric: str, points: list[tuple[int, float]], words: str) -> Evidence:
    """Points as evidence, rounded to what one reads."""
    return Evidence(
        metric,
        tuple(step for step, _ in points),
        tuple(float(f"{value:.4g}") for _, value in points),
        words,
    )


def figure(value: float) -> str:
    """A figure in words: `0.412`, `1.02e+04`."""
    return f"{value:.3g}"
