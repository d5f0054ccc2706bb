"""Figures of this machine while a run trains: memory, CPU, GPU. A thread, so that training does not wait for them."""

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from engine.runs.protocol import EventWriter

EVERY_S = 2.0
HEARTBEAT_S = 5.0

Question = Callable[[Any, Any], float]
"""Asks NVML, the module, for a figure of a card, a handle."""

MOVING: dict[str, Question] = {
    "memory_used_bytes": lambda nvml, card: nvml.nvmlDeviceGetMemoryInfo(card).used,
    "utilization_percent": lambda nvml, card: nvml.nvmlDeviceGetUtilizationRates(card).gpu,
    "temperature_c": lambda nvml, card: nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU),
    "power_w": lambda nvml, card: nvml.nvmlDeviceGetPowerUsage(card) / 1000,
    "clock_mhz": lambda nvml, card: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM),
    "memory_clock_mhz": lambda nvml, card: nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_MEM),
}
STILL: dict[str, Question] = {
    "memory_total_bytes": lambda nvml, card: nvml.nvmlDeviceGetMemoryInfo(card).total,
    "power_limit_w": lambda nvml, card: nvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000,
}
"""What hardly ever changes: told once."""


def device_title(device: str) -> str:
    """What `device` is, in words: `NVIDIA H200`, `AMD EPYC 7B13, 2 cores`."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(names, platform.machine())}, {os.cpu_count()} cores"


class SystemMonitor:
    """Writes `system` and `heartbeat` events until it is stopped. `step` is kept current by the training callback."""

    def __init__(self, writer: EventWriter) -> None:
        self.step = 0
        self._writer = writer
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._gpus = Gpus()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="system-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    def sample(self) -> None:
        """Write one `system` event now."""
        self._writer.write("system", step=self.step, values=self._values())

    def _loop(self) -> None:
        beat = 0.0
        while not self._ended.wait(EVERY_S):
            with contextlib.suppress(
                Exception
            ):  # whatever it is: without heartbeats the run would seem to have stalled
                self.sample()
            if time.monotonic() - beat >= HEARTBEAT_S:
                beat = time.monotonic()
                self._writer.write("heartbeat", step=self.step)

    def _values(self) -> dict[str, float]:
        return {
            "system/rss_bytes": self._process.memory_info().rss,
            "system/cpu_percent": self._process.cpu_percent(),
            "system/host_memory_percent": psutil.virtual_memory().percent,
        } | self._gpus.values()


class Gpus:
    """The GPUs of this process, by NVML and by torch's own account. Empty where there is none or NVML fails."""

    def __init__(self) -> None:
        self._handles: list[Any] = []
        self._nvml: Any = None
        self._count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        self._told: dict[int, dict[str, float]] = {}
        if self._count:
            with contextlib.suppress(Exception):  # no NVML: torch's own figures remain
                import pynvml

                pynvml.nvmlInit()
                self._nvml = pynvml
                self._handles = [pynvml.nvmlDeviceGetHandleByUUID(_uuid(index)) for index in range(self._count)]

    def cards(self) -> list[dict[str, Any]]:
        """Which they are, for the plan: the number that `values` has in its names, and what does not change."""
        return [
            {
                "index": index,
                "uuid": _uuid(index),
                "name": torch.cuda.get_device_name(index),
                "memory_bytes": torch.cuda.get_device_properties(index).total_memory,
                "power_limit_w": self._asked(index, STILL).get("power_limit_w"),
            }
            for index in range(self._count)
        ]

    def values(self) -> dict[str, float]:
        """What is measured now. Totals and limits are told once, and again when they changed."""
        found: dict[str, float] = {}
        for index in range(self._count):
            still = self._asked(index, STILL)
            told = self._told.setdefault(index, {})
            figures = {
                "memory_reserved_bytes": torch.cuda.memory_reserved(index),
                "memory_peak_bytes": torch.cuda.max_memory_reserved(index),
                **self._asked(index, MOVING),
                **{name: value for name, value in still.items() if told.get(name) != value},
            }
            told.update(still)
            found |= {f"gpu{index}/{name}": value for name, value in figures.items()}
        return found

    def _asked(self, index: int, questions: Mapping[str, Question]) -> dict[str, float]:
        """The answers to those that this card can tell and that work just now."""
        found: dict[str, float] = {}
        if index < len(self._handles):
            for name, ask in questions.items():
                with contextlib.suppress(self._nvml.NVMLError):
                    found[name] = ask(self._nvml, self._handles[index])
        return found


def _uuid(index: int) -> str:
    return f"GPU-{torch.cuda.get_device_properties(index).uuid}"
