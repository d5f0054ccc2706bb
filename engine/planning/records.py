"""What a planner says: the memory of a run by parts, the device it is for, its time, and what would make it fit."""

from dataclasses import dataclass
from typing import Any

from engine.recipe import Recipe


@dataclass(frozen=True)
class MemoryParts:
    """Bytes on one device at the peak of a run."""

    weights: int
    """The base as it is kept: quantised layers with their constants, everything else in its own format."""
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    """What the device's driver and libraries take before any tensor."""

    @property
    def total(self) -> int:
        return (
            self.weights
            + self.adapter
            + self.gradients
            + self.optimizer
            + self.activations
            + self.logits
            + self.overhead
        )


@dataclass(frozen=True)
class Probe:
    """What one device does well, measured once by `python -m engine.worker.probe` and kept with the home."""

    seconds: dict[str, float]
    """Format (`fp32`, `bf16`, `fp16`) to the time of one product, forward and backward; missing where it failed."""
    best: str
    """The format to compute in."""
    flash: str | None
    """The `attn_implementation` of flash attention that works here, or `None`."""
    liger: bool
    torch: str
    """Version of torch that measured."""
    flops: float = 0.0
    """Achieved operations a second in the best format; 0 where it was not measured."""


@dataclass(frozen=True)
class DeviceFacts:
    """What is known of a device without torch."""

    name: str
    """`gpu0`, `gpu1`, … or `cpu`."""
    title: str
    kind: str
    """`cuda` or `cpu`."""
    total_bytes: int
    """The device's memory; the host's, within the limits of its container, for the CPU."""
    free_bytes: int
    capability: tuple[int, int] | None
    """CUDA compute capability."""
    probe: Probe | None
    """`None` before the first measurement."""


@dataclass(frozen=True)
class Suggestion:
    """A change that makes a run smaller."""

    label: str
    """For example `method = qlora: 5.1 GB instead of 14.2`."""
    changes: dict[str, Any]
    """Recipe fields and their new values."""
    total_bytes: int
    fits: bool


@dataclass(frozen=True)
class Estimate:
    """What a run takes: memory on one device, time and cost."""

    memory: MemoryParts | None
    """`None` where the model's config is not on this machine; `unknown` says why."""
    unknown: str
    device: DeviceFacts
    free_bytes: int
    fits: bool | None
    calibrated: float
    """Factor learnt from the measured peaks of earlier runs on this device; 1.0 without any."""
    time_s: float | None
    time_spread_s: float | None
    cost: float | None
    tokens_per_s: float | None
    speed_source: str
    """Where the speed is from: `measured in 3 runs on this device`, `a default for this kind of device`."""
    suggestions: tuple[Suggestion, ...]

    @property
    def needs_bytes(self) -> int:
        """The planned peak on one device with what earlier runs taught; 0 where it is not known."""
        return 0 if self.memory is None else int(self.memory.total * self.calibrated)


@dataclass(frozen=True)
class RunPlan:
    """A recipe with every decision made, why, and what it takes."""

    recipe: Recipe
    """Without `auto`, but for `eval_steps`, and for `precision` where the device has not been probed yet."""
    asked: Recipe
    reasons: dict[str, str]
    """Field that was `auto` to one line that says why it is what it is."""
    estimate: Estimate
    problems: dict[str, str]
    """Field to the reason why a launch cannot work; all of them at once."""
    warnings: tuple[str, ...]
    total_steps: int
    rows: int
    sequences: int
    """Sequences of one epoch: rows, or packs of them."""
    tokens: int
    """Real tokens of one epoch, after cutting."""
    trained_tokens: int
    """Tokens of one epoch that the loss is taken from."""
    longest_tokens: int
    tokens_known: str
    """How the lengths are known: `counted with the model's tokenizer`, `estimated from the text`, …"""
