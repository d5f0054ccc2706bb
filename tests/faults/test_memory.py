"""Row 10: the kernel kills for want of memory; CUDA has none left."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.home import Home
from engine.insight.failures import failure_of
from engine.insight.fixing import apply_fix
from store import Store
from store.records import Run, Status
from tests.engine.runs_at_work import gone, wait_for
from tests.engine.test_manager import Managers, ended, folder, recipe

LIMIT_BYTES = 300 << 20
SIZED = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}


def own_group() -> Path:
    """The folder of our control group for memory."""
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("memory", ""):
            found = Path("/sys/fs/cgroup", controllers, group.lstrip("/"))
            if (found / "cgroup.procs").exists():
                return found
    pytest.skip("there are no control groups for memory here")


@contextmanager
def little_memory(name: str) -> Iterator[None]:
    """What is started inside gets, all together, `LIMIT_BYTES`. Skips the test where groups cannot be made."""
    own = own_group()
    group = own / f"finetui-{name}"
    limit = "memory.limit_in_bytes" if (own / "memory.limit_in_bytes").exists() else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(LIMIT_BYTES), encoding="ascii")
        (group / "cgroup.procs").write_text("0", encoding="ascii")
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield
    finally:
        (own / "cgroup.procs").write_text("0", encoding="ascii")


def goes_on_smaller(store: Store, run: Run, home: Home, managers: Managers) -> Run:
    """The run that the one key launches, once it has ended."""
    failure = failure_of(store, run)
    assert failure is not None
    manager = managers("--steps", "1")
    again = store.runs.get(apply_fix(manager, store, run, failure))
    assert again is not None and again.id != run.id
    return ended(manager, store, again)


def test_row_10_a_kill_of_the_kernels_and_cuda_are_two_reasons_with_a_launch_each(
    home: Home, store: Store, managers: Managers
) -> None:
    said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    cuda = managers("--say", said)
    run = ended(cuda, store, cuda.launch(recipe(**SIZED)))
    assert (run.status, run.failure, run.reason) == (Status.FAILED, "cuda_out_of_memory", said)
    cuda.close()
    again = goes_on_smaller(store, run, home, managers)
    assert again.status is Status.SUCCEEDED
    assert (again.recipe["per_device_train_batch_size"], again.recipe["gradient_accumulation_steps"]) == (2, 8)


def test_row_10_a_worker_killed_by_the_kernel(home: Home, store: Store, managers: Managers) -> None:
    manager = managers("--eat-memory")
    with little_memory(home.root.parent.name):
        run = manager.launch(recipe(**SIZED))
    run = ended(manager, store, run)
    assert (run.status, run.failure) == (Status.FAILED, "host_out_of_memory")
    assert run.reason == "killed by the system: out of memory"
    wait_for(lambda: gone(folder(home, run)))
    (own_group() / f"finetui-{home.root.parent.name}").rmdir()
    manager.close()
    again = goes_on_smaller(store, run, home, managers)
    assert again.status is Status.SUCCEEDED
    assert again.recipe["per_device_train_batch_size"] == 2
