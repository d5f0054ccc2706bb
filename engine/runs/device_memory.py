"""The memory of devices and who uses it, as the system tells. Standard library only.

`nvidia-smi` tells it of GPUs. It is asked at most once a second for all supervisors of a home together, who share the
answer in a file. Where it fails, nothing is known, and a device is then for one run at a time.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.runs.allot import CPU, Holder, Request, Room
from engine.runs.rundir import read_json, write_json

FRESH_S = 1.0
"""So long an answer of `nvidia-smi` counts as what is."""

PATIENCE_S = 5.0
"""Time `nvidia-smi` is given; a driver in trouble can keep it for ever."""

MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """Of one device, in bytes."""

    total: int
    """What processes can have: without what the driver keeps for itself."""
    used: int
    runs: dict[str, int] = field(default_factory=dict)
    """What the processes of each run use, as far as they can be seen."""
    strangers: int = 0
    """What processes use that can be seen and belong to no run."""


def measure(folder: Path, line: Iterable[Request]) -> dict[str, Memory]:
    """The memory of the devices that those in line could have, where it can be told and decides anything.

    On the processor it decides nothing while one run has it alone. `folder` keeps the shared answer of `nvidia-smi`.
    """
    asked = list(line)
    found: dict[str, Memory] = {}
    if any(CPU in one.devices and one.slots > 1 and one.bytes for one in asked) and (host := _host_memory()):
        found[CPU] = host
    if any(device != CPU for one in asked for device in one.devices):
        found |= _gpus(folder)
    return found


def rooms(memory: Mapping[str, Memory], holders: Mapping[str, Sequence[Holder]]) -> dict[str, Room]:
    """What of each device's memory is the holders' and what others use."""
    return {device: _room(one, holders.get(device, ())) for device, one in memory.items()}


def _room(memory: Memory, holders: Sequence[Holder]) -> Room:
    used = {one.run: memory.runs.get(one.run, 0) for one in holders}
    elsewhere = sum(amount for run, amount in memory.runs.items() if run not in used)  # runs of another home
    # In a container no process may be seen at all: what nobody owns is then taken for the holders' own, as far as
    # they were promised it.
    hidden = max(0, memory.used - sum(memory.runs.values()) - memory.strangers)
    awaited = sum(max(0, one.bytes - used[one.run]) for one in holders)
    return Room(memory.total, memory.strangers + elsewhere + max(0, hidden - awaited), used)


def _gpus(folder: Path) -> dict[str, Memory]:
    """Memory by `gpu0`, `gpu1`…: the shared answer, made anew when it is old."""
    path = folder / "memory.json"
    try:
        fresh = abs(time.time() - path.stat().st_mtime) < FRESH_S
    except OSError:
        fresh = False
    if fresh:
        with suppress(AttributeError, TypeError):  # damaged, or written by another version
            return {str(device): Memory(**values) for device, values in (read_json(path) or {}).items()}
    found = _ask_nvidia_smi()
    with suppress(OSError):  # not shared, then
        write_json(path, {device: asdict(memory) for device, memory in found.items()})
    return found


def _ask_nvidia_smi() -> dict[str, Memory]:
    program = shutil.which("nvidia-smi")
    cards = _query(program, "--query-gpu=index,uuid,memory.used,memory.free") if program else []
    if not program or not cards:
        return {}
    processes = _query(program, "--query-compute-apps=gpu_uuid,pid,used_memory")
    found = {}
    for index, uuid, used, free in (card for card in cards if len(card) == 4):
        if not (used.isdecimal() and free.isdecimal()):
            continue  # `[N/A]`: a card in parts, or one with a fault
        runs: dict[str, int] = {}
        strangers = 0
        for card, pid, amount in (process for process in processes if len(process) == 3):
            if card != uuid or not (pid.isdecimal() and amount.isdecimal()):
                continue
            run = run_of(int(pid))
            if run:
                runs[run] = runs.get(run, 0) + int(amount) * MIB
            elif run is not None:
                strangers += int(amount) * MIB
        found[f"gpu{index}"] = Memory((int(used) + int(free)) * MIB, int(used) * MIB, runs, strangers)
    return found


def _query(program: str, what: str) -> list[list[str]]:
    """The cells of what `nvidia-smi` answers, a list a line; none where it fails."""
    try:
        process = subprocess.Popen(
            [program, what, "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
    except OSError:
        return []
    try:
        answer, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()  # without waiting: it may hang where no signal reaches it
        return []
    if process.returncode:
        return []
    return [[cell.strip() for cell in line.split(",")] for line in answer.splitlines() if line.strip()]


def run_of(pid: int) -> str | None:
    """The run that a process works for; empty for a stranger, `None` where no such process can be seen.

    Told by what the supervisor put into its environment, which children of children have, too, and orphans.
    """
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return ""  # another user's
    except OSError:
        return None
    _, found, rest = (b"\0" + environment).partition(b"\0FINETUI_RUN_DIR=")
    return Path(os.fsdecode(rest.split(b"\0", 1)[0])).name if found else ""


def _host_memory() -> Memory | None:
    """The machine's own memory; what runs use is what is resident of their processes."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        total, used = sizes["MemTotal"], sizes["MemTotal"] - sizes["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    runs: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        if run := run_of(int(process.name)):
            try:
                resident = int((process / "statm").read_text(encoding="ascii").split()[1]) * page
            except (OSError, ValueError, IndexError):
                continue
            runs[run] = runs.get(run, 0) + resident
    return Memory(total, used, runs, max(0, used - sum(runs.values())))
