"""Rules on the machine: GPUs that wait, memory that is nearly full, a pace that falls."""

from statistics import fmean, median, quantiles

from engine.insight.diagnosis import acts
from engine.insight.diagnosis.curves import Curves, Points
from engine.insight.diagnosis.records import Act
from engine.insight.diagnosis.rule import Detected, evidence
from engine.insight.diagnosis.shape import finite

SPEED = "train/tokens_per_s"
HOST = "system/host_memory_percent"

LOOKS = 10
"""Times that a machine has to have been looked at before it is judged."""

IDLE = 30.0
"""Percent of the time below which a GPU is as good as idle."""

WAITING = 10.0
"""Percent below which it waits, at one look."""


def idle_gpu(curves: Curves) -> Detected | None:
    """A GPU of the run is hardly ever at work, look after look."""
    for name, points in _gpu(curves, "utilization_percent"):
        busy = fmean(value for _, value in points)
        if busy < IDLE and not _in_turns(points):
            return Detected(
                points[0][0],
                min(0.95, 0.6 + (IDLE - busy) / 100),
                (evidence(f"{name}/utilization_percent", points[-8:], f"{busy:.0f} % on average"),),
                {"gpu": name, "busy": f"{busy:.0f}"},
            )
    return None


def after_idle_gpu(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """More rows at once keep it at work."""
    batch, times = (curves.recipe.get(name) for name in ("per_device_train_batch_size", "gradient_accumulation_steps"))
    if isinstance(batch, int) and isinstance(times, int) and times > 1:
        by = 4 if times % 4 == 0 else 2 if times % 2 == 0 else times
        changes = {"per_device_train_batch_size": batch * by, "gradient_accumulation_steps": times // by}
        return acts.retrain(curves, changes, f"batch {batch * by} × {times // by}")
    return ()


def slow_data(curves: Curves) -> Detected | None:
    """A GPU works and waits in turns: it is fed too slowly."""
    for name, points in _gpu(curves, "utilization_percent"):
        if _in_turns(points):
            share = sum(value < WAITING for _, value in points) / len(points)
            return Detected(
                next(step for step, value in points if value < WAITING),
                min(0.9, 0.5 + share),
                (evidence(f"{name}/utilization_percent", points[-12:], f"waits at {share:.0%} of the looks"),),
                {"gpu": name, "share": f"{share:.0%}"},
            )
    return None


def memory_full(curves: Curves) -> Detected | None:
    """A GPU's memory, or the machine's, is all but used up."""
    for name, points in _gpu(curves, "memory_used_bytes", least=1):
        told = finite(curves.metrics.get(f"{name}/memory_total_bytes", []))
        total = told[-1][1] if told else curves.memory_bytes.get(name, 0.0)
        step, most = max(points, key=lambda point: point[1])
        if total > 0 and most >= 0.95 * total:
            share = f"{most / total:.0%}"
            return Detected(
                step,
                0.8,
                (evidence(f"{name}/memory_used_bytes", [(step, most)], f"{share} of {total / 2**30:.0f} GB"),),
                {"whose": f"{name}'s memory", "share": share},
                "warning" if most >= 0.98 * total else None,
            )
    host = finite(curves.metrics.get(HOST, []))
    if host and (peak := max(host, key=lambda point: point[1]))[1] >= 95:
        return Detected(
            peak[0],
            0.7,
            (evidence(HOST, host[-5:], f"{peak[1]:.0f} % at most"),),
            {"whose": "The machine's memory", "share": f"{peak[1]:.0f}%"},
            "warning",
        )
    return None


def after_memory_full(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """The same step in smaller parts."""
    batch, times = (curves.recipe.get(name) for name in ("per_device_train_batch_size", "gradient_accumulation_steps"))
    if isinstance(batch, int) and isinstance(times, int) and batch > 1 and batch % 2 == 0:
        changes = {"per_device_train_batch_size": batch // 2, "gradient_accumulation_steps": times * 2}
        return acts.retrain(curves, changes, f"batch {batch // 2} × {times * 2}")
    if curves.recipe.get("gradient_checkpointing") is False:
        return acts.retrain(curves, {"gradient_checkpointing": True}, "checkpointing")
    return ()


def slowing(curves: Curves) -> Detected | None:
    """Of late it is much slower than it was at first, and not for single steps."""
    points = finite(curves.metrics[SPEED])[1:]  # the first one is slow by nature
    if len(points) < 2 * LOOKS or curves.recipe.get("train_sampling_strategy") == "group_by_length":
        return None
    first, late = points[: len(points) // 3], points[-len(points) // 4 :]
    before, now = (median(value for _, value in part) for part in (first, late))
    if now > 0.6 * before:
        return None
    usual = quantiles([value for _, value in first], n=4)[0]
    if quantiles([value for _, value in late], n=4)[2] > usual:
        return None
    since = next((step for step, value in points if value < 0.7 * usual), late[0][0])
    return Detected(
        since,
        min(0.9, 1.2 - now / before),
        (evidence(SPEED, [first[0], first[-1], late[0], late[-1]], f"from {before:,.0f} down to {now:,.0f}"),),
        {"before": f"{before:,.0f}", "now": f"{now:,.0f}"},
    )


def nothing(curves: Curves, seen: Detected) -> tuple[Act, ...]:
    """It is not for finetui to change."""
    return ()


def _gpu(curves: Curves, what: str, *, least: int = LOOKS) -> list[tuple[str, Points]]:
    """Each GPU and its figures, from the first step on: while the model is loaded it has nothing to do."""
    found = []
    for name, points in sorted(curves.metrics.items()):
        gpu, _, metric = name.partition("/")
        known = [point for point in finite(points) if point[0] > 0]
        if metric == what and gpu.startswith("gpu") and len(known) >= least:
            found.append((gpu, known))
    return found


def _in_turns(points: Points) -> bool:
    """Whether there are looks at which it waits and looks at which it works hard, a good share of each."""
    waits = sum(value < WAITING for _, value in points) / len(points)
    works = sum(value > 60 for _, value in points) / len(points)
    return waits >= 0.2 and works >= 0.2
