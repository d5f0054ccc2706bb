"""GPUs as they are now, whose processes are on them, and what is said when one vanishes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runs.device_watch import DeviceWatch
from tests.engine.nvml_made import GIB, Card, put_in


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[int]:
    """The pid of a process that works for the run `r1`, by its environment."""
    environment = os.environ | {"FINETUI_RUN_DIR": str(tmp_path / "r1")}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has its environment by then
        yield process.pid
        process.kill()


def test_a_gpu_tells_what_it_does_and_for_whom(monkeypatch: pytest.MonkeyPatch, worker: int) -> None:
    put_in(monkeypatch, Card("GPU-a", processes=[(os.getpid(), 3 * GIB), (worker, 2 * GIB), (worker, 3 * GIB)]))
    [gpu] = DeviceWatch().gpus(tenants=True)
    assert (gpu.index, gpu.title, gpu.used_bytes, gpu.total_bytes) == (0, "NVIDIA H200", 9 * GIB, 80 * GIB)
    assert (gpu.busy, gpu.power_w, gpu.power_limit_w, gpu.temperature_c) == (0.97, 612.0, 700.0, 64)
    assert (gpu.clock_mhz, gpu.memory_clock_mhz, gpu.problem) == (1980, 3201, "")
    run, stranger = gpu.tenants
    assert (run.run, run.name, run.used_bytes) == ("r1", "", 5 * GIB)
    assert (stranger.run, stranger.pid, stranger.used_bytes) == ("", os.getpid(), 3 * GIB)
    assert stranger.name == Path("/proc/self/comm").read_text(encoding="utf-8").strip()


def test_processes_that_cannot_be_seen_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, Card("GPU-a", processes=[(2**22 + 7, None)]))
    [gpu] = DeviceWatch().gpus(tenants=True)
    assert [(one.run, one.name, one.used_bytes) for one in gpu.tenants] == [("", "", None)]


def test_what_a_card_does_not_tell_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = {"PowerUsage", "EnforcedPowerLimit", "UtilizationRates", "ComputeRunningProcesses"}
    put_in(monkeypatch, Card("GPU-a", silent=silent))
    [gpu] = DeviceWatch().gpus(tenants=True)
    assert (gpu.power_w, gpu.power_limit_w, gpu.busy, gpu.tenants) == (None, None, None, ())
    assert (gpu.used_bytes, gpu.temperature_c, gpu.problem) == (9 * GIB, 64, "")


def test_only_the_gpus_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, Card("GPU-a"), Card("GPU-b", busy=3))
    assert [(gpu.index, gpu.busy) for gpu in DeviceWatch().gpus(["GPU-b"])] == [(1, 0.03)]


def test_row_22_a_gpu_that_vanishes_is_said_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = put_in(monkeypatch, Card("GPU-a"), Card("GPU-b"))
    watch = DeviceWatch()
    assert not any(gpu.problem for gpu in watch.gpus())
    made.cards[0].error = made.NVML_ERROR_GPU_IS_LOST
    for words in ("cannot be asked", "does not know this GPU any more", "does not know this GPU any more"):
        lost, well = watch.gpus(["GPU-a", "GPU-b"])
        assert words in lost.problem and lost.used_bytes is None
        assert (well.used_bytes, well.problem) == (9 * GIB, "")
    assert [gpu.uuid for gpu in watch.gpus()] == ["GPU-b"]
    made.cards[0].error = None
    watch.gpus(["GPU-a"])  # it was not known at the last opening: this look finds that out and opens anew
    assert not any(gpu.problem for gpu in watch.gpus(["GPU-a", "GPU-b"]))


def test_row_22_a_driver_that_fails_is_asked_again_but_not_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made = put_in(monkeypatch, Card("GPU-a"))
    made.broken = 999
    watch = DeviceWatch()
    assert watch.gpus() == ()
    [gpu] = watch.gpus(["GPU-a"])
    assert "the driver cannot be asked" in gpu.problem
    assert made.starts == 1
    made.broken = None
    now += 11
    [gpu] = watch.gpus(["GPU-a"])
    assert (gpu.problem, watch.problem) == ("", "")


def test_without_nvml_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    watch = DeviceWatch()
    assert (watch.gpus(), watch.problem) == ((), "")
    assert "no NVML" in watch.gpus(["GPU-a"])[0].problem


def test_the_machine_itself(tmp_path: Path) -> None:
    host = DeviceWatch().host(tmp_path)
    assert 0 <= host.busy <= 1
    assert 0 < host.used_bytes < host.total_bytes
    assert host.disk_free_bytes is not None and host.disk_total_bytes is not None
    assert 0 < host.disk_free_bytes <= host.disk_total_bytes
    assert DeviceWatch().host(tmp_path / "gone").disk_free_bytes is None
