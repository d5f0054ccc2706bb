"""How busy the machine is, for the header: its fullest GPU, else the processor and the memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.runs.device_watch import DeviceWatch


@dataclass(frozen=True)
class Figures:
    """One look at the machine. `busy` is 0 to 1."""

    device: str
    """`gpu0` or `cpu`."""
    busy: float
    used_bytes: int
    total_bytes: int


class Gauges:
    """Reads `Figures`. Slow on the first read: use it from a thread."""

    def __init__(self) -> None:
        self._watch: DeviceWatch | None = None

    def read(self) -> Figures:
        """The fullest GPU, else the processor. NVML that fails counts as no GPU."""
        from engine.runs.device_watch import DeviceWatch

        self._watch = self._watch or DeviceWatch()
        gpus = [
            Figures(f"gpu{gpu.index}", gpu.busy or 0.0, gpu.used_bytes, gpu.total_bytes)
            for gpu in self._watch.gpus()
            if gpu.used_bytes is not None and gpu.total_bytes is not None
        ]
        if gpus:
            return max(gpus, key=lambda gpu: gpu.used_bytes)
        host = self._watch.host(Path.home())
        return Figures("cpu", host.busy, host.used_bytes, host.total_bytes)
