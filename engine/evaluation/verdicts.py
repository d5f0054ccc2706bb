"""What a figure says beside the first model's: better, worse, or nothing that is certain."""

from collections.abc import Mapping, Sequence
from typing import Literal

from engine.evaluation.lm_eval import PREFIX, lower_is_better
from engine.evaluation.measures import MEASURES
from engine.figures import NONE, fmt_number
from store.evaluation_records import Measured

BETTER, WORSE = "better", "worse"
Verdict = Literal["better", "worse", ""]
P_CERTAIN, P_LARGEST = 0.001, 0.05
SPEEDS = ("first_token_s", "tokens_per_s")
"""Of how fast it went, not of what was said."""


def sense_of(metric: str) -> str:
    """Which way is better: `higher`, `lower`, or empty where neither is."""
    if metric.startswith(PREFIX):
        return "lower" if lower_is_better(metric) else "higher"
    return MEASURES[metric].better if metric in MEASURES else ""


def digits(metric: str, value: float | None) -> str:
    """The value with the digits that its measure has, without the unit."""
    if value is None:
        return NONE
    return f"{value:.{MEASURES[metric].digits}f}" if metric in MEASURES else fmt_number(value)


def p_words(p_value: float) -> str:
    return "p < 0.001" if p_value < P_CERTAIN else f"p {p_value:.3f}"


def verdict(metric: str, one: Measured) -> Verdict:
    """`better` or `worse` than the first model; empty where that is not certain, or no side is better.

    It is certain where the interval leaves out 0 and the paired test agrees (p < 0.05). A difference too small to be
    shown is none.
    """
    if one.difference_low is None or one.difference_high is None or one.difference_low <= 0 <= one.difference_high:
        return ""
    if one.p_value is None or one.p_value >= P_LARGEST or not float(digits(metric, one.difference).replace(",", "")):
        return ""
    sense = sense_of(metric)
    if not sense:
        return ""
    return "better" if (one.difference_low > 0) == (sense == "higher") else "worse"


def best_of(metric: str, figures: Sequence[Measured | None]) -> set[int]:
    """The places with the best value as it is shown, where it can be told from the first model's; else none."""
    sense = sense_of(metric)
    values = {place: one.value for place, one in enumerate(figures) if one is not None}
    if not sense or len(values) < 2:
        return set()
    best = digits(metric, (max if sense == "higher" else min)(values.values()))
    said = {place: verdict(metric, one) for place, one in enumerate(figures) if place and one is not None}
    found = {place for place, value in values.items() if digits(metric, value) == best}
    if 0 in found:
        others = [one for place, one in said.items() if place not in found]
        return found if others and all(one == WORSE for one in others) else set()
    return found if any(said[place] == BETTER for place in found) else set()


def sentence(labels: Sequence[str], figures: Mapping[tuple[int, str], Measured], metrics: Sequence[str]) -> str:
    """Whether the models are better than the first one, in one sentence. How fast they were is left out of it."""
    if len(labels) < 2:
        return f"Only {labels[0]} was measured: there is nothing to compare it with." if labels else ""
    parts = []
    for place in range(1, len(labels)):
        said = _said(labels[place], place, figures, metrics)
        if said:
            parts.append(said)
    if not parts:
        return f"No measure compares with {labels[0]}."
    return f"Beside {labels[0]}: " + "; ".join(parts) + "."


def _said(label: str, place: int, figures: Mapping[tuple[int, str], Measured], metrics: Sequence[str]) -> str:
    own = {metric: figures[place, metric] for metric in metrics if metric not in SPEEDS and (place, metric) in figures}
    compared = {metric: one for metric, one in own.items() if one.difference is not None and sense_of(metric)}
    found: dict[str, list[str]] = {BETTER: [], WORSE: []}
    for metric, one in compared.items():
        if said := verdict(metric, one):
            found[said].append(MEASURES[metric].label if metric in MEASURES else metric)
    kept = own.get("retention")
    words = [f"{label} still gets {kept.value:.1f} % of its right answers right"] if kept is not None else []
    if compared:
        count = f"{len(compared)} measure{'s' * (len(compared) != 1)}"
        name = "it" if words else label
        if not found[BETTER] and not found[WORSE]:
            words.append(f"{name} is neither better nor worse in any of {count}, as far as these rows can tell")
        else:
            better = f"better in {len(found[BETTER])} of {count}{_named(found[BETTER])}" if found[BETTER] else ""
            worse = f"worse in {len(found[WORSE])}{'' if better else f' of {count}'}{_named(found[WORSE])}"
            words.append(
                f"{name} is " + " and ".join(filter(None, [better, worse if found[WORSE] else "worse in none"]))
            )
    return ", and ".join(words)


def _named(labels: Sequence[str]) -> str:
    return f" ({', '.join(labels[:3])}{' …' if len(labels) > 3 else ''})"
