"""How fast a run will be: as fast as earlier ones here, else by what such devices usually reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from engine.planning.architecture import Architecture
from engine.planning.past import planned
from engine.planning.records import DeviceFacts
from engine.recipe import Recipe
from store.records import Run, Status

GPU_FLOPS = {
    "b200": 2.2e15,
    "h200": 9.9e14,
    "h100": 9.9e14,
    "a100": 3.1e14,
    "l40": 1.8e14,
    "a6000": 1.5e14,
    "a10": 1.2e14,
    "4090": 1.6e14,
    "3090": 7.1e13,
    "l4": 1.2e14,
    "t4": 6.5e13,
    "v100": 1.2e14,
}
"""Most operations a second in 16 bits, by a part of the device's name (makers' data sheets, without sparsity)."""
UNKNOWN_GPU_FLOPS = 5e13
CPU_FLOPS_A_CORE = 2e10

REACHED = {"cuda": 0.25, "cpu": 0.35}
"""Share of the most that training usually reaches."""
REACHED_QUANTISED = 0.6
"""Of that, where weights are unpacked for each batch."""

MEASURED_SPREAD = 0.2
DEFAULT_SPREAD = 0.6
START_S = {"cuda": 40.0, "cpu": 25.0}
"""From the launch to the first step: libraries, data, model, rehearsal."""


@dataclass(frozen=True)
class Speed:
    """Real tokens a second, how far off that may be (a share), and where it is from."""

    tokens_per_s: float
    spread: float
    source: str


def find_speed(
    runs: Sequence[Run],
    recipe: Recipe,
    model: str,
    architecture: Architecture | None,
    parameters: int | None,
    device: DeviceFacts,
    sizes: dict[str, int],
) -> Speed | None:
    """The speed of `recipe` on `device`; `None` where the size of the model is not known and no run was like it.

    `runs` are earlier ones; `sizes` has the parameters of models by name, for runs of other models.
    """
    like = [run for run in runs if run.tokens_per_s and run.method == recipe.method and _alike(run, device)]
    same = [run.tokens_per_s for run in like if run.model == model and run.tokens_per_s]
    if same:
        return _measured(same, f"measured in {_runs(len(same))} of this model on this device", recipe)
    size = architecture.parameters if architecture else parameters
    if not size:
        return None
    scaled = [run.tokens_per_s * sizes[run.model] / size for run in like if run.tokens_per_s and sizes.get(run.model)]
    if scaled:
        return _measured(scaled, f"from {_runs(len(scaled))} of other models on this device, by their size", recipe)
    return Speed(default_speed(recipe, size, device) * recipe.device_count, DEFAULT_SPREAD, _default_source(device))


def default_speed(recipe: Recipe, parameters: int, device: DeviceFacts) -> float:
    """Real tokens a second on one device, by the operations that a token takes.

    2 operations a weight forward, 2 back to the inputs, 2 more to the weights where they are trained (Kaplan et al.,
    2020), and another forward with activation checkpointing.
    """
    operations = 6 if recipe.method == "full" else 4
    operations += 2 if recipe.gradient_checkpointing is True else 0
    reached = peak_flops(device) * REACHED[device.kind]
    if device.kind == "cpu" and device.probe is not None and device.probe.flops > 0:
        reached = device.probe.flops * 0.6  # measured on a product, which is most of the work
    if recipe.method in ("qlora", "lora8bit"):
        reached *= REACHED_QUANTISED
    return reached / (operations * parameters)


def peak_flops(device: DeviceFacts) -> float:
    """Operations a second that the device can do at most, in the format that training usually takes."""
    if device.kind == "cuda":
        title = device.title.lower()
        return next((flops for name, flops in GPU_FLOPS.items() if name in title), UNKNOWN_GPU_FLOPS)
    cores = device.title.rpartition(", ")[2].partition(" ")[0]
    return CPU_FLOPS_A_CORE * (int(cores) if cores.isdecimal() else 1)


def run_time_s(speed: Speed, tokens_a_step: float, steps: int, kind: str) -> tuple[float, float]:
    """Seconds from the launch to the end, and how many more or fewer it may be."""
    training = tokens_a_step * steps / max(speed.tokens_per_s, 1e-9)
    return START_S[kind] + training, speed.spread * training + START_S[kind] / 2


def _measured(speeds: list[float], source: str, recipe: Recipe) -> Speed:
    """By runs on one device each."""
    middle = median(speeds)
    spread = max(MEASURED_SPREAD, (max(speeds) - min(speeds)) / (2 * middle) if middle else 0.0)
    return Speed(middle * recipe.device_count, min(spread, 1.0), source)


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _alike(run: Run, device: DeviceFacts) -> bool:
    """Whether a run was on one device like this, and went far enough to tell."""
    told = run.status in (Status.SUCCEEDED, Status.STOPPED, Status.TRAINING, Status.EVALUATING)
    return told and _devices(run.recipe) == 1 and planned(run).get("device_title") == device.title


def _devices(recipe: dict[str, Any]) -> int:
    asked = recipe.get("devices")
    return len(asked) if isinstance(asked, list) else asked if isinstance(asked, int) else 1


def _default_source(device: DeviceFacts) -> str:
    if device.kind == "cpu" and device.probe is not None and device.probe.flops > 0:
        return "from a product that was timed on this device"
    return "a default for this kind of device"
