"""The command that trains: one process, or one for each device. Standard library only."""

from collections.abc import Mapping, Sequence
from typing import Any


def process_count(inputs: Mapping[str, Any]) -> int:
    """Processes that train on this machine, as `inputs.json` says."""
    return max(1, int(inputs.get("processes") or 1))


def worker_command(worker: Sequence[str], inputs: Mapping[str, Any], folder: str) -> list[str]:
    """`worker`, with the run's folder as its last argument."""
    return [*worker, folder]
