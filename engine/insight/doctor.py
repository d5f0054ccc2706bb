"""What this machine can do, and what to mend so that it can do more."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from engine.home import Home
from engine.insight.checks.check import Check
from engine.insight.checks.gpus import check_gpu, find_gpus
from engine.insight.checks.leftovers import check_leases, check_processes
from engine.insight.checks.packages import TRAIN_PACKAGES, check_package, check_python
from engine.insight.checks.room import check_cache, check_disk, check_limits, check_memory, check_shared_memory
from engine.insight.checks.storing import (
    check_file_system,
    check_home,
    check_permissions,
    check_sqlite,
    check_store,
)
from engine.insight.checks.surroundings import check_clock, check_cluster, check_hub, check_starter, check_terminal
from engine.insight.checks.torch_side import check_attention, check_bitsandbytes, check_cuda, check_liger

__all__ = ["Check", "run_checks"]

_AT_ONCE = 4


def run_checks(home: Home, *, ask_hub: bool = False) -> list[Check]:
    """All checks in the order they are shown. Takes seconds where there is a GPU: torch is asked, in processes.

    The network is used only with `ask_hub`.
    """
    gpus = find_gpus()
    first = check_home(home)  # makes the folder that others look into
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", check_python),
        ("home", lambda: first),
        ("permissions", partial(check_permissions, home)),
        ("file system", partial(check_file_system, home)),
        ("disk", partial(check_disk, home)),
        ("hub cache", check_cache),
        ("memory", check_memory),
        ("shared memory", partial(check_shared_memory, len(gpus.names))),
        ("limits", check_limits),
        ("clock", partial(check_clock, home)),
        ("sqlite", check_sqlite),
        ("store", partial(check_store, home)),
        ("processes", partial(check_processes, home)),
        ("leases", partial(check_leases, home)),
        *((name, partial(check_package, name)) for name in TRAIN_PACKAGES),
        ("gpu", partial(check_gpu, gpus)),
        ("cuda", partial(check_cuda, gpus)),
        ("bitsandbytes library", partial(check_bitsandbytes, gpus)),
        ("flash attention", partial(check_attention, gpus)),
        ("liger", partial(check_liger, gpus)),
        ("terminal", partial(check_terminal, os.environ)),
        ("starter model", partial(check_starter, home)),
        ("hub", partial(check_hub, ask_hub)),
        ("cluster", check_cluster),
    ]
    return list(_all(checks))


def _all(checks: Iterable[tuple[str, Callable[[], Check]]]) -> Iterable[Check]:
    """Every check's answer, in order; one that fails itself says so and stops no other."""

    def look(entry: tuple[str, Callable[[], Check]]) -> Check:
        name, check = entry
        try:
            return check()
        except Exception as error:
            found = f"could not be checked: {str(error) or type(error).__name__}"
            return Check(name, False, found, "Report it, with what `finetui doctor --bundle FILE` writes.")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(look, checks)
