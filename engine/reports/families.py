"""Which metrics share a plot, what it is called, and in which order plots stand."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.text import clean_line

GIB = 2**30

TRAINING, VALIDATION = "training", "validation"

BOOKKEEPING = frozenset({"train/epoch", "train/num_tokens"})
"""Metrics that are scales of the others, and no curves of interest."""

_GPU = re.compile(r"gpu(\d+)/(.+)")

_TITLES = {
    "loss": "loss",
    "mean_token_accuracy": "token accuracy",
    "perplexity": "perplexity",
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_s": "tokens/s",
    "rewards_margin": "reward margin",
    "rewards_accuracy": "reward accuracy",
    "rewards_chosen": "reward of the chosen answer",
    "rewards_rejected": "reward of the rejected answer",
    "gpu/memory_used_bytes": "GPU memory used",
    "gpu/memory_reserved_bytes": "GPU memory reserved",
    "gpu/memory_peak_bytes": "GPU memory at its peak",
    "gpu/memory_total_bytes": "GPU memory in all",
    "gpu/utilization_percent": "GPU utilisation",
    "gpu/power_w": "GPU power",
    "gpu/power_limit_w": "GPU power limit",
    "gpu/temperature_c": "GPU temperature",
    "gpu/clock_mhz": "GPU clock",
    "gpu/memory_clock_mhz": "GPU memory clock",
    "system/rss_bytes": "memory of the process",
    "system/cpu_percent": "processor",
    "system/host_memory_percent": "memory of the machine",
}
_ORDER = (
    *("loss", "mean_token_accuracy", "perplexity", "rewards_accuracy", "rewards_margin"),
    *("learning_rate", "grad_norm", "tokens_per_s"),
)
_UNITS = {"_bytes": "GB", "_percent": "%", "_w": "W", "_c": "°C", "_mhz": "MHz", "_s": "s"}


@dataclass
class Family:
    """A plot: metrics of one thing. `members` has what each is of it: `training`, `validation`, `gpu0`, or nothing."""

    key: str
    members: dict[str, str] = field(default_factory=dict)

    @property
    def machine(self) -> bool:
        """Whether it is about the machine, not about learning."""
        return self.key.startswith(("gpu/", "system/"))

    @property
    def title(self) -> str:
        """In words."""
        return _TITLES.get(self.key) or clean_line(self._plain).replace("_", " ").replace("/", " · ")

    @property
    def unit(self) -> str:
        if not self.machine and not self.key.endswith("_bytes"):
            return ""
        return next((unit for end, unit in _UNITS.items() if self.key.endswith(end)), "")

    @property
    def scale(self) -> float:
        """What values are divided by, to be in the unit."""
        return GIB if self.unit == "GB" else 1.0

    @property
    def _plain(self) -> str:
        end = next((end for end in _UNITS if self.key.endswith(end)), "") if self.unit else ""
        return self.key.removesuffix(end)


def families(names: Iterable[str]) -> list[Family]:
    """Loss first, then what else says how well it learns, the rest by name, the machine last."""
    found: dict[str, Family] = {}
    for name in sorted(set(names) - BOOKKEEPING):
        key, part = _place(name)
        found.setdefault(key, Family(key)).members[name] = part
    return sorted(found.values(), key=_rank)


def _place(name: str) -> tuple[str, str]:
    head, _, rest = name.partition("/")
    if rest and head in ("train", "eval"):
        return rest, TRAINING if head == "train" else VALIDATION
    if gpu := _GPU.fullmatch(name):
        return f"gpu/{gpu[2]}", f"gpu{gpu[1]}"
    return name, ""


def _rank(family: Family) -> tuple[bool, int, str]:
    return family.machine, _ORDER.index(family.key) if family.key in _ORDER else len(_ORDER), family.key
