"""What others call a metric, and what it is called here, where both mean the same.

The Trainer says `loss` and `eval_loss`; its reports to W&B, TensorBoard and Trackio say `train/loss` and `eval/loss`;
Lightning, torchtune and plain loops have names of their own. What is not known keeps its name.
"""

import re
from collections.abc import Iterable

from engine.runs.fields import text

STEP_NAMES = frozenset({"train/global_step", "trainer/global_step", "global_step"})
"""Metrics that say at which step the others are."""

LONGEST_NAME = 200

_TRAINING = {
    "loss": "train/loss",
    "train_loss": "train/loss",
    "training_loss": "train/loss",
    "train/loss_step": "train/loss",
    "lr": "train/learning_rate",
    "train/lr": "train/learning_rate",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "gradient_norm": "train/grad_norm",
    "epoch": "train/epoch",
    "num_tokens": "train/num_tokens",
    "num_input_tokens_seen": "train/num_tokens",
    "train/num_input_tokens_seen": "train/num_tokens",
    "mean_token_accuracy": "train/mean_token_accuracy",
    "entropy": "train/entropy",
    "tokens_per_second": "train/tokens_per_s",
    "train/tokens_per_second": "train/tokens_per_s",
    "tokens_per_second_per_gpu": "train/tokens_per_s",
    "perplexity": "train/perplexity",
    "rewards/chosen": "train/rewards_chosen",
    "rewards/rejected": "train/rewards_rejected",
    "rewards/margins": "train/rewards_margin",
    "rewards/accuracies": "train/rewards_accuracy",
    "logps/chosen": "train/logps_chosen",
    "logps/rejected": "train/logps_rejected",
}
_REWARDS = {"margins": "margin", "accuracies": "accuracy", "chosen": "chosen", "rejected": "rejected"}
_VALIDATION = re.compile(r"(?:eval|val|valid|validation|dev)[_/](.+)")
_WRITTEN = re.compile(r"(train|eval)/(?:rewards/(\w+))")
_SUMMARY = frozenset({"train_runtime", "train/train_runtime"})
"""Where this is, `train_loss` is the Trainer's mean over the whole run, not a point of the curve."""


def metric_name(name: str) -> str:
    """The name here of a metric of training or evaluation."""
    if name in _TRAINING:
        return _TRAINING[name]
    if match := _WRITTEN.fullmatch(name):
        return f"{match[1]}/rewards_{_REWARDS.get(match[2], match[2])}"
    if match := _VALIDATION.fullmatch(name):
        rest = match[1].removeprefix("rewards/")
        return f"eval/rewards_{_REWARDS.get(rest, rest)}" if rest != match[1] else f"eval/{rest}"
    return name


class Naming:
    """The names of one run: no two metrics of others become one here."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Names that come together: what `train_loss` means shows from its company."""
        if "train_loss" in self._names:
            return
        if not _SUMMARY.isdisjoint(names):
            self._names["train_loss"] = self._take("train_loss", "train/train_loss")

    def of(self, name: str) -> str:
        """The name here of the metric `name`; always the same in a run."""
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = self._take(name, metric_name(name))
        return known

    def _take(self, name: str, wanted: str) -> str:
        for candidate in (wanted, name):
            candidate = text(candidate).replace("\0", "")[:LONGEST_NAME] or "unnamed"
            if self._owners.setdefault(candidate, name) == name:
                return candidate
        return candidate


_GIB, _MIB, _MB = float(1 << 30), float(1 << 20), 1e6

_OF_GPU: dict[str, tuple[str, float]] = {
    # W&B
    "gpu": ("utilization_percent", 1),
    "memoryAllocatedBytes": ("memory_used_bytes", 1),
    "temp": ("temperature_c", 1),
    "powerWatts": ("power_w", 1),
    "enforcedPowerLimitWatts": ("power_limit_w", 1),
    "smClock": ("clock_mhz", 1),
    "memoryClock": ("memory_clock_mhz", 1),
    # Trackio
    "utilization": ("utilization_percent", 1),
    "allocated_memory": ("memory_used_bytes", _GIB),
    "total_memory": ("memory_total_bytes", _GIB),
    "power": ("power_w", 1),
    "power_limit": ("power_limit_w", 1),
    "sm_clock": ("clock_mhz", 1),
    "memory_clock": ("memory_clock_mhz", 1),
    # MLflow
    "utilization_percentage": ("utilization_percent", 1),
    "memory_usage_megabytes": ("memory_used_bytes", _MB),
    "power_usage_watts": ("power_w", 1),
}
_OF_HOST: dict[str, tuple[str, float]] = {
    "cpu": ("system/cpu_percent", 1),
    "memory_percent": ("system/host_memory_percent", 1),
    "proc.memory.rssMB": ("system/rss_bytes", _MIB),
    "cpu/utilization": ("system/cpu_percent", 1),
    "memory/percent": ("system/host_memory_percent", 1),
    "cpu_utilization_percentage": ("system/cpu_percent", 1),
    "system_memory_usage_percentage": ("system/host_memory_percent", 1),
}
_GPU = re.compile(r"gpu[./_](\d+)[./_](.+)")


def machine_name(name: str) -> tuple[str, float]:
    """The name here of a figure of the machine, and what its values are multiplied by."""
    bare = name.removeprefix("system.").removeprefix("system/")
    if (match := _GPU.fullmatch(bare)) and len(match[1]) < 4:
        known = _OF_GPU.get(match[2])
        gpu = f"gpu{int(match[1])}"
        return (f"{gpu}/{known[0]}", known[1]) if known else (f"{gpu}/{match[2]}", 1)
    if bare in _OF_HOST:
        return _OF_HOST[bare]
    return text(f"system/{bare}").replace("\0", "")[:LONGEST_NAME], 1
