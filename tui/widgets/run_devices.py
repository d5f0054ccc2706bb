"""A run's devices in figures: what it measured itself, and what the machine says of them now."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.text import clean_line
from tui.widgets.heat_strip import Sample

if TYPE_CHECKING:
    from engine.runs.device_watch import DeviceWatch, GpuNow, HostNow
    from store import Store
    from store.records import Run

RECENT_S = 600.0
"""How far back the strips of a live run go; those of one that ended show all of it."""

PROCESS = "process"
"""The name of the device of a run without a GPU: its own process."""

LOOSE_BYTES = 1 << 28
"""Memory that nobody owns up to is named from here on: less is what the driver keeps for itself."""


@dataclass(frozen=True)
class Owner:
    """Who has a GPU's memory. `used_bytes` is `None` where the driver does not say."""

    name: str
    used_bytes: float | None
    kind: str
    """`this`, `run`, `stranger` or `unseen`."""


@dataclass(frozen=True)
class Device:
    """A GPU of the run, or its process. What is not known is `None`. Bytes, watts, degrees Celsius, megahertz."""

    name: str
    """`gpu0`, or `process`."""
    title: str = ""
    uuid: str = ""
    live: bool = False
    """Whether the figures are of now."""
    used: float | None = None
    total: float | None = None
    reserved: float | None = None
    peak: float | None = None
    planned: float | None = None
    busy: float | None = None
    """0 to 1; of a process 1 is one core."""
    power_w: float | None = None
    power_limit_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    memory: tuple[Sample, ...] = ()
    load: tuple[Sample, ...] = ()
    first: float = 0.0
    """The moments between which `memory` and `load` lie."""
    last: float = 0.0
    owners: tuple[Owner, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Machine:
    """One look at this machine while a run is at work on it."""

    gpus: "tuple[GpuNow, ...]"
    host: "HostNow"
    names: Mapping[str, str]
    """Runs that are on the GPUs, id → name."""


def read_devices(
    store: "Store", run: "Run", plan: Mapping[str, Any], planned: float | None, cells: int
) -> list[Device]:
    """The devices that the run has told of, `cells` being the width of their strips. Reads the store: use a thread.

    Its process where it has no GPU; none where it ended without having measured anything.
    """
    names = sorted(
        {name.partition("/")[0] for name in run.metrics if name.startswith("gpu") and "/" in name},
        key=lambda name: (len(name), name),
    )
    cards = {f"gpu{card.get('index')}": card for card in plan.get("gpus") or () if isinstance(card, dict)}
    first_step, first, last = _window(run)
    found = []
    if not names and (run.status.live or "system/rss_bytes" in run.metrics):
        names = [PROCESS]
    for name in names:
        card = cards.get(name, {})
        device = _device(run, name, card, str(plan.get("device_title") or ""), planned)
        total = device.total or device.peak or 0.0
        memory = _history(store, run, _metric(name, "used"), cells, first_step, total)
        load = _history(store, run, _metric(name, "busy"), cells, first_step, 100.0 * _cores(run, name))
        times = [t for t, _ in (*memory, *load)]
        until = max([last, *times])  # a clock may go wrong
        since = max(first, min(times, default=first), until - RECENT_S if run.status.live else 0.0)
        found.append(replace(device, memory=memory, load=load, first=since, last=until))
    return found


def on_this_machine(run: "Run") -> bool:
    """Whether a process of this machine is at work on the run. Reads a small file: use a thread."""
    from engine.runs.identity import boot_id, read_process
    from engine.runs.rundir import RunDir

    record = read_process(RunDir(Path(run.dir)).process) if run.status.live else None
    return record is not None and record.boot_id == boot_id()


def look(watch: "DeviceWatch", store: "Store", folder: Path, uuids: tuple[str, ...]) -> Machine:
    """The machine now. Asks the driver, which may take long: use a thread."""
    gpus = watch.gpus(uuids, tenants=True) if uuids else ()
    runs = {tenant.run for gpu in gpus for tenant in gpu.tenants if tenant.run}
    names = {run.id: run.name for run in store.runs.some([*runs])} if runs else {}
    return Machine(gpus, watch.host(folder), names)


def now_of(device: Device, machine: Machine, run_id: str) -> Device:
    """The device with what the machine says of it now, where it says something."""
    gpu = next((gpu for gpu in machine.gpus if gpu.uuid == device.uuid), None) if device.uuid else None
    if gpu is None:
        return replace(device, live=True, total=device.total or machine.host.total_bytes)
    if gpu.problem:
        return replace(device, problem=gpu.problem)
    return replace(
        device,
        live=True,
        title=gpu.title or device.title,
        used=gpu.used_bytes,
        total=gpu.total_bytes,
        busy=gpu.busy,
        power_w=gpu.power_w,
        power_limit_w=gpu.power_limit_w,
        temperature_c=gpu.temperature_c,
        clock_mhz=gpu.clock_mhz,
        memory_clock_mhz=gpu.memory_clock_mhz,
        owners=_owners(gpu, machine.names, run_id),
    )


def _owners(gpu: "GpuNow", names: Mapping[str, str], run_id: str) -> tuple[Owner, ...]:
    found = []
    for tenant in gpu.tenants:
        if tenant.run:
            own = tenant.run == run_id
            name = "this run" if own else clean_line(names.get(tenant.run, "")) or "a run of another home"
            found.append(Owner(name, tenant.used_bytes, "this" if own else "run"))
        else:
            name = f"{clean_line(tenant.name)} ({tenant.pid})" if tenant.name else f"process {tenant.pid}"
            found.append(Owner(name, tenant.used_bytes, "stranger"))
    told = sum(tenant.used_bytes or 0 for tenant in gpu.tenants)
    unseen = (gpu.used_bytes or 0) - told
    if unseen >= LOOSE_BYTES and all(tenant.used_bytes is not None for tenant in gpu.tenants):
        found.append(Owner("driver and unseen", unseen, "unseen"))
    return tuple(found)


def _device(run: "Run", name: str, card: Mapping[str, Any], title: str, planned: float | None) -> Device:
    if name == PROCESS:
        used = _latest(run, "system/rss_bytes")
        return Device(
            name,
            title=clean_line(title),
            used=used[0],
            peak=used[1],
            planned=planned,
            busy=_share(_latest(run, "system/cpu_percent")[0]),
        )

    def last(figure: str) -> float | None:
        return _latest(run, f"{name}/{figure}")[0]

    peak = [value for value in (_latest(run, f"{name}/memory_peak_bytes")[1], last("memory_reserved_bytes")) if value]
    return Device(
        name,
        title=clean_line(str(card.get("name") or title)),
        uuid=str(card.get("uuid") or ""),
        used=last("memory_used_bytes"),
        total=last("memory_total_bytes") or _number(card.get("memory_bytes")),
        reserved=last("memory_reserved_bytes"),
        peak=max(peak, default=None),
        planned=planned,
        busy=_share(last("utilization_percent")),
        power_w=last("power_w"),
        power_limit_w=last("power_limit_w") or _number(card.get("power_limit_w")),
        temperature_c=last("temperature_c"),
        clock_mhz=last("clock_mhz"),
        memory_clock_mhz=last("memory_clock_mhz"),
    )


def _window(run: "Run") -> tuple[int, float, float]:
    """The step from which on the strips are read, and the moments between which they lie."""
    from engine.insight.stalled import step_s

    started = run.started or run.created
    if not run.status.live:
        return 0, started, run.ended or run.heartbeat or started
    now = time.time()
    pace = step_s(run)
    first_step = max(0, run.step - math.ceil(RECENT_S / pace) - 1) if pace > 0 else 0
    return first_step, max(started, now - RECENT_S), now


def _history(store: "Store", run: "Run", metric: str, cells: int, first_step: int, whole: float) -> tuple[Sample, ...]:
    if metric not in run.metrics or whole <= 0:
        return ()
    series = store.metrics.series(run.id, metric, max_points=2 * cells, first_step=first_step)
    if series is None:
        return ()
    return tuple((t, value / whole) for t, value in zip(series.times, series.values, strict=True))


def _metric(name: str, figure: str) -> str:
    if name == PROCESS:
        return {"used": "system/rss_bytes", "busy": "system/cpu_percent"}[figure]
    return f"{name}/" + {"used": "memory_used_bytes", "busy": "utilization_percent"}[figure]


def _cores(run: "Run", name: str) -> float:
    """How many cores the process has kept busy at most: its strip is full there."""
    most = _latest(run, "system/cpu_percent")[1] if name == PROCESS else None
    return max(1.0, (most or 0.0) / 100)


def _latest(run: "Run", metric: str) -> tuple[float | None, float | None]:
    """The last figure and the largest, where there are such."""
    latest = run.metrics.get(metric)
    if latest is None:
        return None, None
    return (latest.last if math.isfinite(latest.last) else None), latest.max


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
