"""What the processes of many runs take: processor time and memory, read from outside."""

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.load_home import Line
from engine.home import Home
from engine.runs.identity import read_process


class Crowd:
    """Some processes, and what they have used since this was made."""

    def __init__(self, pids: list[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._began = time.monotonic()
        self._before = [_processor_s(process) for process in self._processes]

    def percent(self) -> list[float]:
        """Percent of a core that each has taken, from then to now."""
        took = time.monotonic() - self._began
        now = [_processor_s(process) for process in self._processes]
        return [100 * (after - before) / took for after, before in zip(now, self._before, strict=True)]

    def memory_mb(self) -> tuple[float, float]:
        """What all of them keep resident, as it is counted for each, and as shared pages are shared out among them."""
        found = [process.memory_full_info() for process in self._processes]
        return sum(one.rss for one in found) / 1e6, sum(one.pss for one in found) / 1e6


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def supervisors(line: Line, runs: list[str]) -> list[int]:
    """The processes of the supervisors of these runs."""
    records = [read_process(line.dir(run).process) for run in runs]
    return [record.supervisor.pid for record in records if record and record.supervisor]


@dataclass
class Course:
    """The app's memory and the store's files in the course of time, a sample every few seconds."""

    pid: int
    home: Home
    every_s: float = 5.0
    times_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    log_mb: list[float] = field(default_factory=list)
    """The write-ahead log."""
    _began: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Take a sample, where one is due."""
        now = time.monotonic() - self._began
        if not self.times_s or now - self.times_s[-1] >= self.every_s:
            self.times_s.append(now)
            self.resident_mb.append(psutil.Process(self.pid).memory_info().rss / 1e6)
            self.log_mb.append(size_mb(self.home.db.with_name(self.home.db.name + "-wal")))

    def memory_mb(self) -> dict[str, float]:
        """At the start, in the middle and at the end."""
        places = {"start": 0, "middle": len(self.resident_mb) // 2, "end": -1}
        return {name: round(self.resident_mb[place], 1) for name, place in places.items()}

    def slope_mb_per_min(self, after_s: float) -> float:
        """The line through the samples after so many seconds."""
        pairs = [(t / 60, mb) for t, mb in zip(self.times_s, self.resident_mb, strict=True) if t >= after_s]
        return statistics.linear_regression(*zip(*pairs, strict=True)).slope if len(pairs) > 1 else 0.0


def size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0
