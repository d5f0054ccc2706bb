"""Which metrics share a chart, in which order the charts come, and what each is called."""

import re
from collections.abc import Iterable

FIRST = (
    "loss",
    "mean_token_accuracy",
    "rewards_accuracy",
    "rewards_margin",
    "learning_rate",
    "grad_norm",
    "tokens_per_s",
    "perplexity",
    "entropy",
)
"""The families that come first, in this order; the others follow by name, the machine's own last."""

TOGETHER = {"rewards_chosen": "rewards", "rewards_rejected": "rewards"}
"""Metrics that are read beside each other: name without its split → family."""

TITLES = {
    "mean_token_accuracy": "token accuracy",
    "grad_norm": "gradient norm",
    "tokens_per_s": "tokens/s",
    "num_tokens": "tokens seen",
    "rewards": "rewards: chosen, rejected",
    "rewards_margin": "reward margin",
    "rewards_accuracy": "reward accuracy",
    "system/rss": "memory of the process",
    "system/host_memory": "host memory",
    "system/cpu": "CPU",
}
_SPLITS = ("train", "training", "eval", "validation", "valid", "val", "test")
_MACHINE = re.compile(r"(?:system|gpu\d+)/")
_UNITS = re.compile(r"_(?:used_bytes|reserved_bytes|peak_bytes|total_bytes|bytes|percent|limit_w|w|c|mhz|s)$")


def families(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The charts of some metrics: id → its metrics, training before validation.

    Losses come first, then what else is learnt, then the speed, the rest by name, and the machine's figures last.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(family_of(name), []).append(name)
    return {family: tuple(sorted(set(found[family]), key=_place)) for family in sorted(found, key=_rank)}


def family_of(name: str) -> str:
    """The chart a metric belongs to: `loss` of `eval/loss`, `gpu0/memory` of `gpu0/memory_peak_bytes`."""
    if _MACHINE.match(name):
        return _UNITS.sub("", name) or name
    split, slash, rest = name.partition("/")
    bare = rest if slash and split in _SPLITS and rest else name
    return TOGETHER.get(bare, bare)


def title_of(family: str) -> str:
    """What a chart is called, in words: `gradient norm`, `gpu0 memory`."""
    if family in TITLES:
        return TITLES[family]
    return family.replace("/", " ").replace("_", " ").strip() or family


def split_of(name: str) -> str:
    """`train` or `eval`, where the metric's name says which; else empty."""
    split, slash, _ = name.partition("/")
    if not slash or split not in _SPLITS:
        return ""
    return "train" if split in ("train", "training") else "eval"


def _rank(family: str) -> tuple[int, list[tuple[int, int | str]], str]:
    if family in FIRST:
        return FIRST.index(family), [], family
    return (len(FIRST) + bool(_MACHINE.match(family)), _natural(family), family)


def _natural(text: str) -> list[tuple[int, int | str]]:
    """`gpu2` before `gpu10`."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text) if part]


def _place(name: str) -> tuple[int, str]:
    return {"train": 0, "eval": 1, "": 2}[split_of(name)], name
