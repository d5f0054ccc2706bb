"""Several processes that train one model: who each of them is, which one speaks, and what becomes of a failure.

torchrun (`engine.worker.launch`) starts one for each device and says by the environment who it is. Process 0 writes the
event log, the checkpoints and the adapter; the others train along in silence. No torch at import: the worker asks
before it loads it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from engine.runs.protocol import END_FOR_S, EventWriter
from engine.runs.rundir import RunDir, write_json

FAILURES = ".failure-*.json"
"""Where processes leave why they failed; the launcher tells the first."""

TIMEOUT_S = 3600
"""So long the others wait for process 0, which alone samples, saves and publishes."""


def rank() -> int:
    """This process's number, over all machines."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Its number on this machine, which is that of its device."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """Processes that train, over all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


class SilentWriter(EventWriter):
    """The event log of a process that has no say: it takes events and drops them."""

    def __init__(self, attempt: int) -> None:
        self.dropped = 0
        self.attempt = attempt

    def write(self, kind: str, **fields: Any) -> None:
        """Nothing: process 0 writes the same, or knows better."""

    def close(self) -> None:
        """There is nothing open."""


def event_writer(run: RunDir, attempt: int) -> EventWriter:
    """The run's event log for process 0, silence for the others: the log has one writer."""
    return EventWriter(run.events, attempt, end_for_s=END_FOR_S) if is_main() else SilentWriter(attempt)


def join() -> None:
    """Meet the other processes; returns at once where there are none. Needs torch."""
    if world_size() == 1:
        return
    from datetime import timedelta

    import torch

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(local_rank())
    if not torch.distributed.is_initialized():
        # Both: figures and flags travel between processors, and a sharded model is saved through them.
        backend = "cuda:nccl,cpu:gloo" if gpu else "gloo"
        torch.distributed.init_process_group(backend, timeout=timedelta(seconds=TIMEOUT_S))


def leave() -> None:
    """Part from the others, once all are done."""
    if world_size() > 1:
        import torch

        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def barrier() -> None:
    """Wait until every process has come this far."""
    if world_size() > 1:
        import torch

        torch.distributed.barrier()


@contextmanager
def main_first() -> Iterator[bool]:
    """The block is run by process 0 before the others; the value says whether this is process 0."""
    if not is_main():
        barrier()
    yield is_main()
    if is_main():
        barrier()


def agreed(asked: bool) -> bool:
    """Whether any process was asked: all have to end at the same step, and each hears of it at its own time."""
    if world_size() == 1:
        return asked
    import torch

    flag = torch.tensor(float(asked))
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def forget_failures(run: RunDir) -> None:
    """Remove what processes of an earlier attempt left."""
    for file in run.path.glob(FAILURES):
        file.unlink(missing_ok=True)


def leave_failure(run: RunDir, when: float, reason: str, fields: dict[str, Any]) -> None:
    """Note why this process failed. Others fail after it because it is gone, so none tells the world by itself."""
    with suppress(OSError):  # a full disk: the launcher tells what it saw
        write_json(run.path / FAILURES.replace("*", str(rank())), {"t": when, "reason": reason, "fields": fields})


def first_failure(run: RunDir) -> tuple[str, dict[str, Any]] | None:
    """Reason and fields of the failure that came first, if any process left one."""
    found = []
    for file in run.path.glob(FAILURES):
        with suppress(OSError, ValueError):
            found.append(json.loads(file.read_text(encoding="utf-8")))
    if not found:
        return None
    first = min(found, key=lambda failure: failure["t"])
    return first["reason"], first["fields"]
