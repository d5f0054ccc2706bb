"""A comparison in words: what changed, what it did, and what to be careful about."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.figures import fmt_number, fmt_setting
from engine.runs.goes_with import Trend, goes_with
from engine.runs.measures import EVAL_LOSS, TRAIN_LOSS, lower_is_better
from engine.text import clean_line, shorten

if TYPE_CHECKING:
    from engine.runs.compare import Comparison

MOST = 4
"""Settings that are named; with more, the rest is counted."""
LONGEST = 40
"""Characters of a setting's value."""


def sentence(comparison: "Comparison", baseline: int = 0, *, most: int = MOST) -> str:
    """The whole comparison: of two runs what changed from the baseline to the other, of more which is best, and why.

    At most so many settings are named.
    """
    if len(comparison.runs) < 2:
        return ""
    if len(comparison.runs) == 2:
        return pair_sentence(comparison, baseline, 1 - baseline, most=most)
    name = ranking(comparison)
    if name is None:
        return f"There is no loss to compare yet; {_differ(list(comparison.differing), most)}."
    values, words = comparison.metrics[name], metric_words(name)
    winner = comparison.best[name]
    if winner is None:
        return f"The best of them come to the same {words}; {_differ(list(comparison.differing), most)}." + _of_all(
            comparison
        )
    order = sorted((value, index) for index, value in enumerate(values) if value is not None)
    second = order[1][1]
    own, other = order[0][0], order[1][0]
    told = sum(value is not None for value in values)
    text = (
        f"{_name(comparison, winner)} is best of {told}: {words} {fmt_number(own)}, better by {_gap(other, own)} "
        f"than {_name(comparison, second)}"
    )
    trends = goes_with(comparison.differing, values)
    if trends:
        text += f". {_trend_words(trends, words, most)}."
    else:
        text += f", {_instead(comparison, winner, second, most)}."
    return text + _within_noise(comparison, name, second, winner) + _of_all(comparison)


def pair_sentence(comparison: "Comparison", before: int, after: int, *, most: int = MOST) -> str:
    """What changed from one run of the comparison to another, and what it did. Both are indexes."""
    changes = _listed(changed(comparison, before, after), most) or "their recipes are the same"
    text = f"{_name(comparison, before)} → {_name(comparison, after)}: {changes}"
    name = ranking(comparison, [before, after])
    if name is None:
        return f"{text}; there is no loss to compare yet." + _of_pair(comparison, before, after)
    old, new = (comparison.metrics[name][index] for index in (before, after))
    assert old is not None and new is not None
    words = metric_words(name)
    if old == new:
        return f"{text}; {words} {fmt_number(new)} in both." + _of_pair(comparison, before, after)
    better = (new < old) is lower_is_better(name)
    text += f"; {words} {_figures(old, new)}, {'better' if better else 'worse'} by {_gap(old, new)}."
    return text + _within_noise(comparison, name, before, after) + _of_pair(comparison, before, after)


def changed(comparison: "Comparison", before: int, after: int) -> list[str]:
    """The settings that differ between two of the runs: `learning_rate 1e-4 → 2e-4`, in the recipe's order."""
    return [
        f"{clean_line(name)} {_setting(values[before])} → {_setting(values[after])}"
        for name, values in _between(comparison, before, after).items()
    ]


def ranking(comparison: "Comparison", among: Sequence[int] | None = None) -> str | None:
    """The loss that two or more of the runs have, that of the validation first."""
    for name in (EVAL_LOSS, TRAIN_LOSS):
        values = comparison.metrics.get(name, [])
        chosen = values if among is None else [values[index] for index in among if index < len(values)]
        if sum(value is not None for value in chosen) > 1:
            return name
    return None


def metric_words(name: str) -> str:
    """A metric's name in words: `eval loss`."""
    return clean_line(name).replace("/", " ").replace("_", " ")


def _between(comparison: "Comparison", before: int, after: int) -> dict[str, list[Any]]:
    return {name: values for name, values in comparison.differing.items() if values[before] != values[after]}


def _instead(comparison: "Comparison", winner: int, other: int, most: int) -> str:
    """What the second has instead of what the best one has."""
    parts = [
        f"{clean_line(name)} {_setting(values[other])} instead of {_setting(values[winner])}"
        for name, values in _between(comparison, winner, other).items()
    ]
    return f"which has {_listed(parts, most)}" if parts else "which has the same settings"


def _trend_words(trends: Sequence[Trend], words: str, most: int) -> str:
    """`Higher lora_r goes with lower eval loss (rank correlation -0.93)`."""
    parts = []
    falls = trends[0].correlation < 0
    for trend in trends:
        if trend.value:
            verb = "" if (trend.correlation < 0) is falls else "not "
            parts.append(f"{verb}{clean_line(trend.setting)} {shorten(trend.value, LONGEST)}")
        else:
            parts.append(f"{'higher' if (trend.correlation < 0) is falls else 'lower'} {clean_line(trend.setting)}")
    text = f"{_listed(parts, most)} {'go' if len(parts) > 1 else 'goes'} with {'lower' if falls else 'higher'} {words}"
    return f"{text[0].upper()}{text[1:]} (rank correlation {trends[0].correlation:+.2f})"


def _of_pair(comparison: "Comparison", before: int, after: int) -> str:
    names = list(_between(comparison, before, after))
    live = [index for index in (before, after) if comparison.runs[index].status.live]
    return _cautions(names, [_name(comparison, index) for index in live], both=True)


def _of_all(comparison: "Comparison") -> str:
    live = [_name(comparison, index) for index, run in enumerate(comparison.runs) if run.status.live]
    return _cautions(list(comparison.differing), live, both=False)


def _cautions(differing: Sequence[str], live: Sequence[str], *, both: bool) -> str:
    """What makes the figures say less than they seem to."""
    text = ""
    if "dataset" in differing:
        who = "They learned from different data" if both else "Not all of them learned from the same data"
        text += f" {who}, so their losses are not of the same rows."
    elif "model" in differing:
        who = "Their base models differ" if both else "Not all of them have the same base model"
        text += f" {who}: a loss of another tokenizer means something else."
    elif list(differing) == ["seed"]:
        text += " Only the seed differs: this is what chance alone does."
    if live and len(live) == 2 and both:
        text += " Both are still at work."
    elif live:
        text += f" {live[0]} is still at work." if len(live) == 1 else f" {len(live)} are still at work."
    return text


def _within_noise(comparison: "Comparison", name: str, before: int, after: int) -> str:
    """Said where two losses are no further apart than the last evaluations of each are from one another."""
    noises = [noise for index in (before, after) if (noise := comparison.noise[index]) is not None]
    old, new = (comparison.metrics[name][index] for index in (before, after))
    if name != EVAL_LOSS or len(noises) < 2 or old is None or new is None:
        return ""
    spread = 2 * (noises[0] ** 2 + noises[1] ** 2) ** 0.5
    if abs(old - new) > spread:
        return ""
    return f" That is within the noise of the last evaluations (±{_short(spread)})."


def _name(comparison: "Comparison", index: int) -> str:
    """The run's name, with its id where another of them has the same."""
    run = comparison.runs[index]
    alike = sum(other.name == run.name for other in comparison.runs) > 1
    name = shorten(clean_line(run.name), LONGEST)
    return f"{name} ({run.id})" if alike or not name else name


def _differ(names: Sequence[str], most: int) -> str:
    words = _listed([clean_line(name) for name in names], most)
    return f"they differ in {words}" if words else "their recipes are the same"


def _listed(words: Sequence[str], most: int) -> str:
    """`a, b and c`; beyond so many, how many more settings."""
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more settings"]
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else "".join(words)


def _setting(value: Any) -> str:
    return shorten(clean_line(fmt_setting(value)), LONGEST)


def _figures(old: float, new: float) -> str:
    """Two figures with as many digits as it takes to tell them apart."""
    one, other = fmt_number(old), fmt_number(new)
    return f"{one} → {other}" if one != other else f"{old:.7g} → {new:.7g}"


def _gap(old: float, new: float) -> str:
    """How far apart, and how much that is of the old one: `0.11 (9.2 %)`."""
    gap = abs(new - old)
    share = gap / abs(old) * 100 if old else 0.0
    return f"{_short(gap)} ({share:.2g} %)" if 0 < share < 100 else _short(gap)


def _short(value: float) -> str:
    """Two significant digits: enough to see what a gain is worth."""
    return f"{value:.2g}" if value < 10 else f"{value:,.1f}"
