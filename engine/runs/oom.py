"""Whether the kernel killed for want of memory lately. Standard library only."""

from pathlib import Path


class OomWatch:
    """Counts the kernel's kills of our control group, or, where that has no counter, of the whole machine."""

    def __init__(self) -> None:
        self._file = _counter_file()
        self._before = _count(self._file)

    def happened(self) -> bool:
        """Whether there was such a kill since this object was made."""
        return _count(self._file) > self._before


def _counter_file() -> Path:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        root, name = {"": ("", "memory.events"), "memory": ("memory", "memory.oom_control")}.get(controllers, ("", ""))
        file = Path("/sys/fs/cgroup", root, group.lstrip("/"), name)
        if name and _count(file, missing=-1) >= 0:
            return file
    return Path("/proc/vmstat")


def _count(file: Path, missing: int = 0) -> int:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return missing
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), missing)
