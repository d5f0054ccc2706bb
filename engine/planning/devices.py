"""The devices of this machine as the planner sees them: by NVML, by the container's limits, by what was measured."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.home import Home
from engine.planning.records import DeviceFacts, Probe
from engine.runs.backends.local import candidate_devices

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
"""Version 2 and 1: what may be used, and what is."""


def list_devices(home: Home, environment: Mapping[str, str] = os.environ) -> tuple[DeviceFacts, ...]:
    """Devices that a run may take, in order; the CPU where there is no GPU."""
    found = tuple(
        facts
        for name, visible in candidate_devices(environment).items()
        if name != "cpu" and (facts := _gpu(home, name, visible)) is not None
    )
    return found or (_cpu(home),)


def probe_path(home: Home, title: str) -> Path:
    """Where what was measured of devices with this title is kept; another torch or kernel is measured anew."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    return home.root / "cache" / "devices" / f"{slug}-{_libraries()}.json"


def probe_command(home: Home, device: DeviceFacts) -> dict[str, Any]:
    """The step of a run's preparation that measures `device`, unless that was done before."""
    path = probe_path(home, device.title)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "argv": ["python", "-m", "engine.worker.probe", str(path)],
        "lock": str(path.with_suffix(".lock")),
        "skip_if_exists": str(path),
        "phase": f"measuring {device.title}",
    }


def read_probe(path: Path) -> Probe | None:
    """What was measured, or `None` before that, and for what another version wrote."""
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return Probe(
            seconds={str(name): float(value) for name, value in found["seconds"].items()},
            best=str(found["best"]),
            flash=found["flash"],
            liger=bool(found["liger"]),
            torch=str(found["torch"]),
            flops=float(found.get("flops", 0.0)),
        )
    return None


@cache
def _libraries() -> str:
    """Short, and another where what decides a measurement is another."""
    found = []
    for package in ("torch", "flash-attn", "kernels", "liger-kernel"):
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:8]


def _gpu(home: Home, name: str, visible: str) -> DeviceFacts | None:
    """A GPU by NVML, or `None` where NVML cannot say."""
    handle = _handle(visible)
    if handle is None:
        return None
    import pynvml

    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        title = str(pynvml.nvmlDeviceGetName(handle))
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    except pynvml.NVMLError:
        return None
    return DeviceFacts(
        name=name,
        title=title,
        kind="cuda",
        total_bytes=int(memory.total),
        free_bytes=int(memory.free),
        capability=(int(major), int(minor)),
        probe=read_probe(probe_path(home, title)),
    )


@lru_cache(maxsize=64)
def _handle(visible: str) -> Any:
    """NVML's handle of an index or a UUID. NVML stays open: handles are worth nothing without it."""
    try:
        import pynvml

        pynvml.nvmlInit()
        if visible.isdecimal():
            return pynvml.nvmlDeviceGetHandleByIndex(int(visible))
        return pynvml.nvmlDeviceGetHandleByUUID(visible)
    except Exception:  # no driver, or a slice of a GPU that NVML may not look at
        return None


def _cpu(home: Home) -> DeviceFacts:
    import psutil

    memory = psutil.virtual_memory()
    limit, used = container_memory()
    total = min(memory.total, limit) if limit else memory.total
    free = min(memory.available, limit - used) if limit else memory.available
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    title = f"{_cpu_model()}, {cores} core{'s' if cores != 1 else ''}"
    return DeviceFacts(
        name="cpu",
        title=title,
        kind="cpu",
        total_bytes=int(total),
        free_bytes=max(0, int(free)),
        capability=None,
        probe=read_probe(probe_path(home, title)),
    )


def container_memory() -> tuple[int, int]:
    """The memory that this container may use and what of it is used, bytes; (0, 0) without a limit."""
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):
            most = int(limit.read_text())
            if most < 1 << 60:
                return most, int(used.read_text()) - _reclaimable(limit.parent)
    return 0, 0


def _reclaimable(folder: Path) -> int:
    """Cached files, which count as used and are given up when memory is asked for."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0


@cache
def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    import platform

    return platform.processor() or platform.machine() or "CPU"
