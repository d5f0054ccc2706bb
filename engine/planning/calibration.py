"""What earlier runs teach about memory: how far their measured peaks were from what was planned."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from engine.planning.past import planned
from engine.planning.records import DeviceFacts
from store.records import Run

LOWEST, HIGHEST = 0.5, 2.0
NEWEST = 20
"""Runs that are looked at."""


def calibration(runs: Sequence[Run], device: DeviceFacts) -> float:
    """The factor between measured and planned memory on devices like this one: a median; 1.0 without any run.

    What is measured on a GPU is what torch holds, without the driver's part. `runs` are the newest first.
    """
    factors = [
        factor
        for run in [run for run in runs if run.peak_vram_bytes][:NEWEST]
        if (factor := _factor(run, device)) is not None
    ]
    return min(HIGHEST, max(LOWEST, median(factors))) if factors else 1.0


def _factor(run: Run, device: DeviceFacts) -> float | None:
    plan = planned(run)
    if plan.get("device_title") != device.title:
        return None
    total, overhead = _bytes(plan.get("memory_bytes"))
    if total <= overhead or not run.peak_vram_bytes:
        return None
    return (run.peak_vram_bytes + (overhead if device.kind == "cuda" else 0)) / total


def _bytes(memory: Any) -> tuple[float, float]:
    """Planned in all, and the driver's part."""
    if not isinstance(memory, dict):
        return 0.0, 0.0
    total, overhead = memory.get("total"), memory.get("overhead")
    numbers = isinstance(total, int | float) and isinstance(overhead, int | float)
    return (float(total), float(overhead)) if numbers and total and overhead is not None else (0.0, 0.0)
