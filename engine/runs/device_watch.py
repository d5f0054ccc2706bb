"""This machine's GPUs as they are now: how full, how busy, how warm, and whose processes are on them. By NVML.

For screens: `device_memory` has what the queue decides by. Nothing here raises: a GPU that vanished and a driver that
fails are words in `problem`. Use it from a thread, and from one at a time: NVML may take long, for ever where a driver
hangs.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.runs.device_memory import run_of


@dataclass(frozen=True)
class Tenant:
    """A process, or all those of one run, on a GPU."""

    run: str
    """The id of the run that it works for; empty for a stranger."""
    name: str
    """A stranger's program: `python3`; empty where it cannot be seen."""
    pid: int
    used_bytes: int | None
    """What it has of the GPU's memory, where the driver tells."""


@dataclass(frozen=True)
class GpuNow:
    """One look at a GPU. What it does not tell is `None`; with a `problem` nothing was told."""

    index: int
    uuid: str
    title: str = ""
    total_bytes: int | None = None
    used_bytes: int | None = None
    busy: float | None = None
    """0 to 1."""
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    tenants: tuple[Tenant, ...] = ()
    """Who has memory of it, the largest first. In a container no process may be seen."""
    problem: str = ""


@dataclass(frozen=True)
class HostNow:
    """One look at the machine itself. `busy` is 0 to 1, over the time since the look before."""

    busy: float
    cores: int
    used_bytes: int
    total_bytes: int
    swap_used_bytes: int
    swap_total_bytes: int
    disk_free_bytes: int | None
    """Of the disk that keeps the home."""
    disk_total_bytes: int | None


FIRST_LOOK_S = 0.1
"""How long the processor is watched for its first figure."""

_AGAIN_S = 10.0
"""So long after NVML could not be opened it is left alone. Where one GPU fails, it is opened anew at the next look."""


class DeviceWatch:
    """Looks at GPUs and at the machine. Handles are kept; after a failure they are got anew, but not at once."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._problem = ""
        self._failed: float | None = None
        self._known: dict[str, tuple[int, Any]] = {}
        """UUID → NVML's number and handle."""
        self._looked = False

    @property
    def problem(self) -> str:
        """Why no GPU can be seen, where there is a driver that ought to tell; else empty."""
        return self._problem

    def gpus(self, uuids: Sequence[str] | None = None, *, tenants: bool = False) -> tuple[GpuNow, ...]:
        """These GPUs, or all of this machine that answer. One that is gone has a `problem`; none where NVML is missing.

        `tenants` also asks whose processes are on them.
        """
        if not self._open():
            problem = self._problem or "there is no NVML here to ask"
            return tuple(GpuNow(number, uuid, problem=problem) for number, uuid in enumerate(uuids or ()))
        found = []
        for uuid in self._known if uuids is None else uuids:
            if uuid in self._known:
                number, handle = self._known[uuid]
                found.append(self._gpu(number, uuid, handle, tenants))
            else:
                found.append(GpuNow(-1, uuid, problem="the driver does not know this GPU any more"))
        if any(gpu.problem for gpu in found):
            self._close("")
            self._failed = None
        return tuple(found)

    def host(self, folder: Path) -> HostNow:
        """The machine, and the disk on which `folder` lies."""
        import psutil

        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        busy = psutil.cpu_percent(None if self._looked else FIRST_LOOK_S) / 100
        self._looked = True
        disk = None
        with suppress(OSError):
            disk = psutil.disk_usage(str(folder))
        return HostNow(
            busy=busy,
            cores=os.cpu_count() or 1,
            used_bytes=int(memory.total - memory.available),
            total_bytes=int(memory.total),
            swap_used_bytes=int(swap.used),
            swap_total_bytes=int(swap.total),
            disk_free_bytes=int(disk.free) if disk else None,
            disk_total_bytes=int(disk.total) if disk else None,
        )

    def _open(self) -> bool:
        """Whether NVML can be asked."""
        if self._nvml is not None:
            return True
        if self._failed is not None and time.monotonic() - self._failed < _AGAIN_S:
            return False
        try:
            import pynvml
        except ImportError:
            self._close("")
            return False
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self._close(f"the driver cannot be asked: {error}")
            return False
        self._nvml, self._problem = pynvml, ""
        self._known = {}
        for number in range(count):
            with suppress(pynvml.NVMLError):  # a lost one does not take the others along
                handle = pynvml.nvmlDeviceGetHandleByIndex(number)
                self._known[str(pynvml.nvmlDeviceGetUUID(handle))] = number, handle
        return True

    def _close(self, problem: str) -> None:
        """Forget the handles: they are got anew at a later look."""
        if self._nvml is not None:
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
        self._nvml, self._known = None, {}
        self._problem, self._failed = problem, time.monotonic()

    def _gpu(self, index: int, uuid: str, handle: Any, tenants: bool) -> GpuNow:
        nvml = self._nvml
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        except nvml.NVMLError as error:
            return GpuNow(index, uuid, problem=f"it cannot be asked: {error}")

        def ask(question: Callable[..., Any], *rest: Any) -> Any:
            try:
                return question(handle, *rest)
            except nvml.NVMLError:  # not every card tells everything
                return None

        rates, power = ask(nvml.nvmlDeviceGetUtilizationRates), ask(nvml.nvmlDeviceGetPowerUsage)
        limit = ask(nvml.nvmlDeviceGetEnforcedPowerLimit)
        return GpuNow(
            index=index,
            uuid=uuid,
            title=str(ask(nvml.nvmlDeviceGetName) or ""),
            total_bytes=int(memory.total),
            used_bytes=int(memory.used),
            busy=None if rates is None else rates.gpu / 100,
            power_w=None if power is None else power / 1000,
            power_limit_w=None if limit is None else limit / 1000,
            temperature_c=ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            clock_mhz=ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
            tenants=_tenants(ask(nvml.nvmlDeviceGetComputeRunningProcesses) or ()) if tenants else (),
        )


def _tenants(processes: Sequence[Any]) -> tuple[Tenant, ...]:
    """Processes that work for one run are one tenant."""
    runs: dict[str, Tenant] = {}
    others = []
    for process in processes:
        pid, used = int(process.pid), process.usedGpuMemory
        amount = None if used is None else int(used)
        run = run_of(pid)
        if not run:
            others.append(Tenant("", _program(pid), pid, amount))
            continue
        before = runs.get(run)
        known = [one for one in (before.used_bytes if before else None, amount) if one is not None]
        runs[run] = Tenant(run, "", before.pid if before else pid, sum(known) if known else None)
    return tuple(sorted([*runs.values(), *others], key=lambda one: -(one.used_bytes or 0)))


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
