"""How much memory training takes at its peak, and how much was left then: of the GPU, or of the machine.

On a GPU it is what torch has reserved there. On the processor it is how much the process has grown since before the
model was loaded, by the kernel's own mark of the largest size.
"""

import contextlib
import gc
import resource
import sys
from pathlib import Path

import psutil
import torch

_RESET_PEAK = "5"
"""Written to `clear_refs` it sets the mark of the largest size back to the present one (`man proc_pid_clear_refs`)."""


class MemoryMeter:
    """Measures from `restart` on. Make it before the model is loaded: that is where its size counts from."""

    def __init__(self, device: str) -> None:
        """`device` as torch names it: `cuda:0`, `cpu`."""
        self._gpu = torch.device(device) if device.startswith("cuda") else None
        self._base = 0 if self._gpu else _resident_bytes()
        self._resident = self._base
        self._available = 0

    @property
    def device(self) -> str:
        """The device in words."""
        return f"GPU {self._gpu.index or 0}" if self._gpu else "the machine"

    @property
    def total_bytes(self) -> int:
        """All memory that there is for us."""
        return torch.cuda.mem_get_info(self._gpu)[1] if self._gpu else _host_bytes()[0]

    def restart(self) -> None:
        """Measure from now on."""
        if self._gpu:
            self.release()
            torch.cuda.reset_peak_memory_stats(self._gpu)
            return
        with contextlib.suppress(OSError):  # another system: the peak is then that of the process's whole life
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        self._resident = _resident_bytes()
        self._available = _host_bytes()[1]

    def peak_bytes(self) -> int:
        """The largest size since `restart`."""
        if self._gpu:
            return torch.cuda.max_memory_reserved(self._gpu)
        return max(0, _largest_bytes() - self._base)

    def free_bytes_at_peak(self) -> int:
        """What nobody used when our use was largest. Below 0: on the processor, the machine had to swap for it."""
        if self._gpu:
            grown = torch.cuda.max_memory_reserved(self._gpu) - torch.cuda.memory_reserved(self._gpu)
            return torch.cuda.mem_get_info(self._gpu)[0] - grown
        return self._available - max(0, _largest_bytes() - self._resident)

    def release(self) -> None:
        """Give back what torch keeps of a GPU without using it."""
        if self._gpu:
            gc.collect()
            torch.cuda.empty_cache()


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def _largest_bytes() -> int:
    """The process's largest resident size since its mark was set back, or since it began."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _host_bytes() -> tuple[int, int]:
    """The machine's memory and what of it is available, within the limit of our control group."""
    memory = psutil.virtual_memory()
    limit = _number(Path("/sys/fs/cgroup/memory.max"))
    used = _number(Path("/sys/fs/cgroup/memory.current"))
    if limit is None or used is None:
        return int(memory.total), int(memory.available)
    cached = next((int(line.split()[1]) for line in _stat_lines() if line.startswith("inactive_file ")), 0)
    return min(int(memory.total), limit), min(int(memory.available), limit - used + cached)


def _number(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii"))
    return None


def _stat_lines() -> list[str]:
    with contextlib.suppress(OSError):
        return Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii").splitlines()
    return []
