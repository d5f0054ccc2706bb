"""Measures once what a device does well, for the planner: number formats by the time of one product, attention, Liger.

`python -m engine.worker.probe OUT.json [--device cuda:0]`
"""

import argparse
import json
import os
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch

from engine.models import hub_cache
from engine.worker.loading import DTYPES, default_device

CPU_SIZE = (128, 768)
GPU_SIZE = (4096, 4096)
REPEATS = 5
LIMIT_S = 0.3
"""Of one format: a CPU that has to imitate one is not waited for."""

WORTH_CPU = 1.5
"""How many times as fast a format must be on a CPU to give up digits for it."""
WORTH_GPU = 1.15
HUB_FLASH = "kernels-community/flash-attn2"


def probe(device: str) -> dict[str, Any]:
    """What `engine.planning.records.Probe` holds."""
    formats = DTYPES if device.startswith("cuda") else ("bf16", "fp32")  # fp16 has no loss scaling on a CPU
    seconds = {name: found for name in formats if (found := _time(name, device)) is not None}
    best = best_format(seconds, device)
    rows, width = GPU_SIZE if device.startswith("cuda") else CPU_SIZE
    operations = 6 * rows * width * width  # forward, and backward to both factors
    return {
        "seconds": {name: round(value, 7) for name, value in seconds.items()},
        "best": best,
        "flash": _flash(device),
        "liger": _has_liger(device),
        "torch": torch.__version__,
        "flops": operations / seconds[best] if best in seconds else 0.0,
    }


def best_format(seconds: dict[str, float], device: str) -> str:
    """The format to compute in. On a CPU digits are given up only for speed."""
    full = seconds.get("fp32")
    bf16, fp16 = seconds.get("bf16"), seconds.get("fp16")
    if not device.startswith("cuda"):
        return "bf16" if bf16 and full and full >= WORTH_CPU * bf16 else "fp32"
    # A GPU without bf16 imitates it, slowly.
    if bf16 and (not full or full >= WORTH_GPU * bf16) and (not fp16 or bf16 <= 2 * fp16):
        return "bf16"
    return "fp16" if fp16 and (not full or full >= WORTH_GPU * fp16) else "fp32"


def _time(name: str, device: str) -> float | None:
    """Seconds of one product, forward and backward, or `None` where the device has no such format."""
    rows, width = GPU_SIZE if device.startswith("cuda") else CPU_SIZE
    try:
        inputs = torch.randn(rows, width, device=device, dtype=DTYPES[name], requires_grad=True)
        weight = torch.randn(width, width, device=device, dtype=DTYPES[name], requires_grad=True)
        gradient = torch.ones(rows, width, device=device, dtype=DTYPES[name])
        times: list[float] = []
        begun = time.monotonic()
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            torch.autograd.backward(inputs @ weight, gradient)
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
            if time.monotonic() - begun > LIMIT_S:
                break
    except (RuntimeError, TypeError):
        return None
    return median(times[1:] or times)  # the first one warms up


def _flash(device: str) -> str | None:
    """The flash attention that runs here, tried on a small input."""
    if not device.startswith("cuda") or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    queries = torch.randn(1, 16, 2, 64, device=device, dtype=torch.bfloat16)
    for package, name in (("flash_attn", "flash_attention_2"), ("kernels", HUB_FLASH)):
        if find_spec(package) is None:
            continue
        # A kernel of the hub is native code: one that somebody has fetched is used, none is fetched unasked.
        if package == "kernels" and not kernel_is_cached(name):
            continue
        try:
            if package == "flash_attn":
                from flash_attn import flash_attn_func  # type: ignore[import-not-found,unused-ignore]
            else:
                from kernels import get_kernel  # type: ignore[import-not-found,unused-ignore]

                flash_attn_func = get_kernel(HUB_FLASH).flash_attn_func
            flash_attn_func(queries, queries, queries, causal=True)
            torch.cuda.synchronize(device)
        except Exception:  # built for another torch, not in the cache and no network, …: SDPA stays
            continue
        return name
    return None


def kernel_is_cached(repository: str) -> bool:
    """Whether a kernel of the hub is on this machine; releases of `kernels` differ in what they call its folder."""
    name = repository.replace("/", "--")
    return any(any((hub_cache() / f"{kind}--{name}" / "snapshots").glob("*")) for kind in ("kernels", "models"))


def _has_liger(device: str) -> bool:
    return device.startswith("cuda") and find_spec("liger_kernel") is not None and find_spec("triton") is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default=None)
    arguments = parser.parse_args()
    found = probe(arguments.device or default_device())
    arguments.out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = arguments.out.with_name(f".{arguments.out.name}.{os.getpid()}")
    temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    temporary.replace(arguments.out)


if __name__ == "__main__":
    main()
