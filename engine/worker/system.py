"""Figures of this machine while a run trains: memory, CPU, GPU. A thread, so that training does not wait for them."""

import contextlib
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from engine.runs.protocol import EventWriter

EVERY_S = 2.0
HEARTBEAT_S = 5.0


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
        self._gpus = _Gpus()
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


class _Gpus:
    """The GPUs of this process, by NVML and by torch's own account. Empty where there is none or NVML fails."""

    def __init__(self) -> None:
        self._handles: list[Any] = []
        self._nvml: Any = None
        if torch.cuda.is_available():
            with contextlib.suppress(Exception):  # no NVML: torch's own figures remain
                import pynvml

                pynvml.nvmlInit()
                self._nvml = pynvml
                for index in range(torch.cuda.device_count()):
                    uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
                    self._handles.append(pynvml.nvmlDeviceGetHandleByUUID(uuid))

    def values(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if not torch.cuda.is_available():
            return found
        for index in range(torch.cuda.device_count()):
            name = f"gpu{index}"
            found[f"{name}/memory_reserved_bytes"] = torch.cuda.memory_reserved(index)
            found[f"{name}/memory_peak_bytes"] = torch.cuda.max_memory_reserved(index)
            if index < len(self._handles):
                with contextlib.suppress(self._nvml.NVMLError):
                    handle = self._handles[index]
                    found[f"{name}/memory_used_bytes"] = self._nvml.nvmlDeviceGetMemoryInfo(handle).used
                    found[f"{name}/utilization_percent"] = self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu
                    found[f"{name}/temperature_c"] = self._nvml.nvmlDeviceGetTemperature(handle, 0)
                    found[f"{name}/power_w"] = self._nvml.nvmlDeviceGetPowerUsage(handle) / 1000
        return found
