"""Room: on the disks, in memory, and in what one process may open."""

import os
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil

from engine.home import Home
from engine.insight.checks.check import Check
from engine.planning.devices import container_memory

FREE_BYTES = 5 << 30
MEMORY_BYTES = 2 << 30
SHARED_BYTES = 1 << 30
OPEN_FILES = 1024
_SHARED = Path("/dev/shm")


def check_disk(home: Home) -> Check:
    """Free space where the home is, or will be."""
    return _disk("disk", home.root, "Checkpoints need room: free some, or choose another home with --home DIR.")


def check_cache(environment: Mapping[str, str] = os.environ) -> Check:
    """Free space where models from the hub are kept."""
    return _disk(
        "hub cache",
        hub_cache(environment),
        "Models are kept there: free some, or set HF_HOME to a folder with more room.",
    )


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of downloaded models, as huggingface_hub finds it."""
    if chosen := environment.get("HF_HUB_CACHE"):
        return Path(chosen).expanduser()
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(environment.get("HF_HOME") or f"{cache}/huggingface").expanduser() / "hub"


def check_memory() -> Check:
    """The memory that is free now; in a container, of what the container may use."""
    memory = psutil.virtual_memory()
    limit, used = container_memory()
    total = min(memory.total, limit) if limit else memory.total
    free = max(0, min(memory.available, limit - used) if limit else memory.available)
    found = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB{' that this container may use' if limit else ''}"
    if free < MEMORY_BYTES:
        return Check("memory", False, found, "End what uses it (`top -o %MEM`), or allow the container more.")
    return Check("memory", True, found)


def check_shared_memory(gpus: int, folder: Path = _SHARED) -> Check:
    """Several GPUs exchange data through it; containers get 64 MB unless asked."""
    if not folder.is_dir():
        return Check("shared memory", gpus < 2, f"no {folder}", f"Mount a tmpfs at {folder}." if gpus > 1 else "")
    total = shutil.disk_usage(folder).total
    found = f"{total / 1e9:.1f} GB at {folder}"
    if gpus > 1 and total < SHARED_BYTES:
        return Check("shared memory", False, found, "Start the container with --shm-size=8g, or with --ipc=host.")
    return Check("shared memory", True, found)


def check_limits() -> Check:
    """What the system lets one process open and write."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    found = f"{_limit(files)} open files"
    if size != resource.RLIM_INFINITY:
        fix = "ulimit -f unlimited, also in the shell's profile and in the job's script."
        return Check("limits", False, f"{found}; files of at most {size / 1e9:.1f} GB", fix)
    if files not in (resource.RLIM_INFINITY, -1) and files < OPEN_FILES:
        fix = f"ulimit -n {OPEN_FILES * 4 if most == resource.RLIM_INFINITY else min(most, OPEN_FILES * 4)}"
        if most != resource.RLIM_INFINITY and most < OPEN_FILES:
            fix = "Ask whoever runs this machine to raise `nofile` in /etc/security/limits.conf."
        return Check("limits", False, found, fix)
    return Check("limits", True, found)


def _limit(value: int) -> str:
    return "any number of" if value == resource.RLIM_INFINITY else f"{value:,}"


def _disk(name: str, wanted: Path, fix: str) -> Check:
    place = next(path for path in (wanted.absolute(), *wanted.absolute().parents) if path.exists())
    usage = shutil.disk_usage(place)
    found = f"{usage.free / 1e9:.1f} GB free at {place}"
    inodes = os.statvfs(place)
    if inodes.f_files and inodes.f_favail < 1000:
        return Check(name, False, f"{found}, but only {inodes.f_favail} files more can be made", fix)
    return Check(name, usage.free >= FREE_BYTES, found, "" if usage.free >= FREE_BYTES else fix)
