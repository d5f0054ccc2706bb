"""How busy the machine is, for the header: NVML where there is a GPU, else the processor and the memory."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """One look at the machine. `busy` is 0 to 1."""

    device: str
    """`gpu0` or `cpu`."""
    busy: float
    used_bytes: int
    total_bytes: int


FIRST_LOOK_S = 0.1
"""How long the processor is watched for its first figure; later ones cover the time since the one before."""


class Gauges:
    """Reads `Figures` with cached NVML handles. Slow on the first read: use it from a thread."""

    def __init__(self) -> None:
        self._handles: list[Any] | None = None
        self._looked = False

    def read(self) -> Figures:
        """The busiest GPU, else the processor. NVML that fails counts as no GPU."""
        gpus = [figures for figures in (self._gpu(index) for index in range(self._count())) if figures]
        return max(gpus, key=lambda gpu: gpu.used_bytes) if gpus else self._host()

    def _count(self) -> int:
        if self._handles is None:
            self._handles = _open_gpus()
        return len(self._handles)

    def _gpu(self, index: int) -> Figures | None:
        import pynvml

        assert self._handles is not None
        try:
            memory = pynvml.nvmlDeviceGetMemoryInfo(self._handles[index])
            busy = pynvml.nvmlDeviceGetUtilizationRates(self._handles[index]).gpu / 100
        except pynvml.NVMLError:
            return None
        return Figures(f"gpu{index}", busy, int(memory.used), int(memory.total))

    def _host(self) -> Figures:
        import psutil

        memory = psutil.virtual_memory()
        busy = psutil.cpu_percent(None if self._looked else FIRST_LOOK_S) / 100
        self._looked = True
        return Figures("cpu", busy, int(memory.total - memory.available), int(memory.total))


def _open_gpus() -> list[Any]:
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
