"""The machine that figures were measured on, and the file that they are kept in."""

import json
import os
import platform
import shlex
import sqlite3
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def describe() -> dict[str, Any]:
    """What a reader needs to judge the figures: processor, cores, memory, system, versions, load."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory_bytes / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_1min": round(os.getloadavg()[0], 2),
    }


def compare(figures: Mapping[str, Any], limits: Mapping[str, float], at_least: Collection[str]) -> list[str]:
    """Print the figures, each beside its limit where it has one. Returns the names of those that miss theirs.

    A figure may be as high as its limit; one that is `at_least` may be as low.
    """
    missed = []
    for name, value in figures.items():
        limit = limits.get(name)
        words = ""
        if limit is not None:
            met = value >= limit if name in at_least else value <= limit
            words = f"   limit {limit:g}{'' if met else '   MISSED'}"
            missed += [] if met else [name]
        print(f"{name:26} {json.dumps(value)}{words}")
    return missed


def record(name: str, figures: dict[str, Any]) -> Path:
    """Write `results/<name>.json`: the command, the machine, the date and the figures."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    result = {
        "command": _command(),
        "machine": describe(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "figures": figures,
    }
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return path


def _command() -> str:
    main = sys.modules["__main__"]
    module = main.__spec__.name.removesuffix(".__main__") if main.__spec__ else Path(sys.argv[0]).name
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not a Linux
    return platform.processor() or platform.machine()
