"""How runs stand to their targets, in words and as JSON."""

from collections.abc import Sequence
from typing import Any

from engine.evaluation.targets import TargetResult
from engine.figures import fmt_number


def target_document(one: TargetResult) -> dict[str, Any]:
    """`met` is null where the run has no such figure yet."""
    target = one.target
    return {"name": target.name, "target": target.words, "value": one.value, "met": one.met}


def target_lines(found: Sequence[TargetResult]) -> list[str]:
    """A line a target: `train/loss < 1.000: 0.91, met`."""
    values = [f"{fmt_number(one.value)}, " if one.value is not None else "" for one in found]
    return [
        f"{one.target.name} {one.target.words}: {value}{one.words}" for one, value in zip(found, values, strict=True)
    ]
