"""This machine as the place where runs go: its devices, and how a supervisor is started on it."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import engine
from engine.runs.rundir import RunDir

INSTALL = Path(engine.__file__).resolve().parent.parent
"""The folder that holds the `engine` package."""

SAMPLES = INSTALL / "samples"


def candidate_devices(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Devices a run may take, in order, each with the value of `CUDA_VISIBLE_DEVICES` that shows it alone.

    The GPUs that NVML and `CUDA_VISIBLE_DEVICES` both let us see, else `{"cpu": ""}`.
    """
    uuids = _gpu_uuids()
    gpus = {f"gpu{index}": str(index) for index in range(len(uuids))}
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and uuids:
        gpus = {}
        for entry in filter(None, (part.strip() for part in chosen.split(","))):
            if entry.startswith("MIG-"):
                gpus[f"mig-{entry.removeprefix('MIG-')[:8].lower()}"] = entry
                continue
            index = _index(entry, uuids)
            if index is None:
                break  # CUDA, too, ignores what comes after an entry that it does not know
            gpus[f"gpu{index}"] = str(index)
    return gpus or {"cpu": ""}


def start_supervisor(rundir: RunDir, attempt: int, worker: Sequence[str], claim: int) -> "subprocess.Popen[bytes]":
    """Start the supervisor in a session of its own, its output in the run's log: it outlives whoever started it.

    It is handed the claim on the run. The caller polls what is returned, so that no zombie stays. Raises `OSError`.
    """
    # -P: what lies in the working directory cannot stand in for a module.
    supervisor = [sys.executable, "-P", "-m", "engine.runs.supervisor", str(rundir.path), "--attempt", str(attempt)]
    with rundir.log.open("ab") as log:
        return subprocess.Popen(
            [*supervisor, "--claim", str(claim), "--worker", *worker],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(claim,),
            start_new_session=True,
            cwd=rundir.path.parent,
            env=own_environment(),
        )


def own_environment() -> dict[str, str]:
    """Ours, with `engine` importable by a fresh interpreter."""
    environment = dict(os.environ)
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if INSTALL not in installed:  # on the path already; put first, it would shadow the standard library
        rest = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(INSTALL), *([rest] if rest else [])])
    return environment


@cache
def _gpu_uuids() -> tuple[str, ...]:
    """UUIDs of the machine's NVIDIA GPUs by NVML's index; none where NVML does not work."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(pynvml.nvmlDeviceGetUUID(handle) for handle in handles)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _index(entry: str, uuids: Sequence[str]) -> int | None:
    """The GPU that an entry of `CUDA_VISIBLE_DEVICES` means: its index, or the start of its UUID."""
    if entry.isdecimal():
        return int(entry) if int(entry) < len(uuids) else None
    found = [index for index, uuid in enumerate(uuids) if uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None
