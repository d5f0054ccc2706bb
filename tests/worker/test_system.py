"""What the monitor tells of the run's GPUs, where NVML answers and where it fails."""

import sys
from types import SimpleNamespace

import pytest
import torch

from engine.worker.system import Gpus
from tests.engine.nvml_made import GIB, Card, MadeNvml, put_in

NAMES = {
    "memory_reserved_bytes",
    "memory_peak_bytes",
    "memory_used_bytes",
    "utilization_percent",
    "temperature_c",
    "power_w",
    "clock_mhz",
    "memory_clock_mhz",
}
STILL = {"memory_total_bytes", "power_limit_w"}


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> MadeNvml:
    """Two GPUs, of which NVML counts three: torch sees the last two of them."""
    properties = [SimpleNamespace(uuid=name, total_memory=80 * GIB) for name in "bc"]
    for name, answer in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: properties[index],
        "get_device_name": lambda index: f"H200 {index}",
        "memory_reserved": lambda index: (index + 1) * GIB,
        "max_memory_reserved": lambda index: (index + 2) * GIB,
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    return put_in(monkeypatch, Card("GPU-a", clock=1), Card("GPU-b", clock=2), Card("GPU-c", clock=3))


def test_figures_have_the_number_that_torch_counts_by(nvml: MadeNvml) -> None:
    gpus = Gpus()
    found = gpus.values()
    assert found.keys() == {f"gpu{index}/{name}" for index in (0, 1) for name in NAMES | STILL}
    assert (found["gpu0/clock_mhz"], found["gpu1/clock_mhz"], found["gpu1/memory_peak_bytes"]) == (2, 3, 3 * GIB)
    card = {"index": 1, "uuid": "GPU-c", "name": "H200 1", "memory_bytes": 80 * GIB, "power_limit_w": 700.0}
    assert gpus.cards()[1] == card


def test_limits_are_told_once_and_when_they_change(nvml: MadeNvml) -> None:
    gpus = Gpus()
    gpus.values()
    assert gpus.values().keys() == {f"gpu{index}/{name}" for index in (0, 1) for name in NAMES}
    nvml.cards[1].limit_w = 500.0
    assert gpus.values()["gpu0/power_limit_w"] == 500.0
    assert "gpu0/power_limit_w" not in gpus.values()


def test_row_22_what_fails_is_left_out_and_the_rest_told(nvml: MadeNvml) -> None:
    gpus = Gpus()
    nvml.cards[1].error = nvml.NVML_ERROR_GPU_IS_LOST
    nvml.cards[2].silent = {"PowerUsage"}
    found = gpus.values()
    assert {name for name in found if name.startswith("gpu0/")} == {
        "gpu0/memory_reserved_bytes",
        "gpu0/memory_peak_bytes",
    }
    assert "gpu1/power_w" not in found and found["gpu1/clock_mhz"] == 3


def test_without_nvml_torch_tells_what_it_knows(nvml: MadeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpus = Gpus()
    assert gpus.values()["gpu0/memory_reserved_bytes"] == GIB
    assert gpus.cards()[0]["power_limit_w"] is None
