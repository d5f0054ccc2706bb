"""Two versions of a name beside each other: what differs in how they were made, and what they came to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.evaluation.measures import MEASURES
from engine.figures import NONE, fmt_bytes, fmt_cost, fmt_duration, fmt_energy
from engine.runs.measures import lower_is_better
from store.evaluation_records import RegistryVersion

_TOOK = {
    "size_bytes": ("size", fmt_bytes),
    "took.time_s": ("time on devices", fmt_duration),
    "took.energy_j": ("energy", fmt_energy),
    "took.cost": ("cost", fmt_cost),
    "took.peak_memory_bytes": ("peak memory", fmt_bytes),
}
"""By their place in `model_info.json`."""
_ORIGIN = (("run.name", "run"), ("base.name", "base model"), ("base.revision", "revision"), ("dataset.id", "dataset"))


@dataclass(frozen=True)
class Setting:
    """Something in which the two were made differently; `None` is not set."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class FigurePair:
    """One figure of both versions. `better` is whether the later one's is: `None` where neither side is better, or the
    two are equal or missing."""

    name: str
    label: str
    on: str
    """What it was measured on: `training`, or the evaluation's data."""
    before: float | None
    after: float | None
    better: bool | None = None
    apart: bool | None = None
    """Whether the 95 % intervals have nothing in common; `None` without intervals."""


@dataclass(frozen=True)
class VersionComparison:
    before: RegistryVersion
    after: RegistryVersion
    settings: list[Setting]
    figures: list[FigurePair]
    took: list[FigurePair]
    sentence: str


def compare_versions(before: RegistryVersion, after: RegistryVersion) -> VersionComparison:
    """`before` and `after` as their `model_info.json` tells them."""
    figures = [*_training(before.info, after.info), *_evaluated(before.info, after.info)]
    took = [
        FigurePair(name, label, "", _number(before.info, name), _number(after.info, name))
        for name, (label, _) in _TOOK.items()
        if _number(before.info, name) is not None or _number(after.info, name) is not None
    ]
    settings = [*_origin(before.info, after.info), *_settings(before.info, after.info)]
    return VersionComparison(before, after, settings, figures, took, _sentence(before, after, figures))


def took_words(one: FigurePair) -> tuple[str, str]:
    """Size, time, energy or cost of both, with units."""
    form = _TOOK[one.name][1]
    before, after = (NONE if value is None else form(value) for value in (one.before, one.after))
    return before, after


def _origin(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    for name, label in _ORIGIN:
        one, other = _value(before, name), _value(after, name)
        if one != other:
            if label == "dataset":
                one, other = _dataset(before), _dataset(after)
            yield Setting(label, one, other)


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Setting]:
    one, other = before.get("recipe") or {}, after.get("recipe") or {}
    for name in dict.fromkeys([*one, *other]):
        if name not in ("model", "dataset") and one.get(name) != other.get(name):
            yield Setting(name, one.get(name), other.get(name))


def _training(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FigurePair]:
    """The losses of training: which is better is said only where both learned from the same data."""
    one, other = before.get("training") or {}, after.get("training") or {}
    same = _value(before, "dataset.id") == _value(after, "dataset.id")
    for name in dict.fromkeys([*one, *other]):
        lower = lower_is_better(name)
        if lower is None:
            continue
        values = [told.get(name, {}).get("best", told.get(name, {}).get("last")) for told in (one, other)]
        if not name.startswith("eval/"):
            values = [told.get(name, {}).get("last") for told in (one, other)]
        better = _better(values[0], values[1], lower=lower) if same else None
        yield FigurePair(name, name, "training", values[0], values[1], better)


def _evaluated(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FigurePair]:
    """Figures measured on the same rows: of the same kind, data and split."""
    others = {_measured_on(one): one for one in after.get("evaluations") or ()}
    for one in before.get("evaluations") or ():
        other = others.get(_measured_on(one))
        if other is None or one.get("rows") != other.get("rows"):
            continue
        later = {figure["metric"]: figure for figure in other.get("figures") or ()}
        on = " ".join(str(part) for part in (one.get("data"), one.get("split")) if part)
        for figure in one.get("figures") or ():
            name = figure["metric"]
            second = later.get(name)
            if second is None:
                continue
            measure = MEASURES.get(name)
            side = measure.better if measure else ""
            better = _better(figure["value"], second["value"], lower=side == "lower") if side else None
            label = measure.label if measure else name
            yield FigurePair(name, label, on, figure["value"], second["value"], better, _apart(figure, second))


def _measured_on(evaluation: Mapping[str, Any]) -> tuple[Any, ...]:
    return evaluation.get("kind"), evaluation.get("data_id") or evaluation.get("data"), evaluation.get("split")


def _better(before: Any, after: Any, *, lower: bool) -> bool | None:
    if before is None or after is None or before == after:
        return None
    return bool(after < before) if lower else bool(after > before)


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    if any(figure.get(side) is None for figure in (one, other) for side in ("low", "high")):
        return None
    return bool(one["high"] < other["low"] or other["high"] < one["low"])


def _sentence(before: RegistryVersion, after: RegistryVersion, figures: list[FigurePair]) -> str:
    """What can be said in one line: evaluations count before the losses of training."""
    measured = [one for one in figures if one.on != "training" and one.better is not None]
    sure = [one for one in measured if one.apart]
    head = f"v{after.version}"
    if not measured:
        loss = next((one for one in figures if one.name == "eval/loss" and one.better is not None), None)
        if loss is None:
            return f"v{before.version} and {head} were not measured on the same rows: evaluate both on one split."
        word = "lower" if loss.better else "higher"
        return f"{head} has the {word} validation loss; neither was evaluated on the same held-out rows."
    better, worse = ([one.label for one in sure if one.better is side] for side in (True, False))
    if not better and not worse:
        return f"No figure of {head} differs by more than its interval from that of v{before.version}."
    parts = [f"better in {', '.join(better)}" if better else "", f"worse in {', '.join(worse)}" if worse else ""]
    return f"{head} is {' and '.join(part for part in parts if part)}, beyond the 95 % intervals."


def _dataset(info: Mapping[str, Any]) -> str:
    told = info.get("dataset") or {}
    return f"{told.get('name', '')} v{told['version']}" if told.get("version") else str(told.get("id") or "")


def _value(info: Mapping[str, Any], path: str) -> Any:
    found: Any = info
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _number(info: Mapping[str, Any], path: str) -> float | None:
    found = _value(info, path)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
