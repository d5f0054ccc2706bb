"""What a run's devices do: figures, whose memory it is, strips over time, and a driver that fails."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.nvml_made import GIB, Card, MadeNvml, put_in
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.widgets import run_charts
from tui.widgets.device_panel import DevicePanel, HostPanel, device_lines
from tui.widgets.gauge import gauge_bar
from tui.widgets.heat_strip import BLOCKS, heat_strip
from tui.widgets.run_devices import Device, Owner

RUN = "r7gpu000000"
GPU = Device(
    "gpu0",
    "NVIDIA H200",
    used=9.1 * GIB,
    total=80 * GIB,
    reserved=8.8 * GIB,
    peak=9.4 * GIB,
    planned=9.2 * GIB,
    busy=0.97,
    power_w=612.0,
    power_limit_w=700.0,
    temperature_c=64,
    clock_mhz=1980,
    memory=((0.0, 0.1), (30.0, 0.5), (60.0, 0.96)),
    load=((0.0, 0.97), (60.0, 0.2)),
    first=0.0,
    last=60.0,
    owners=(Owner("this run", 9.1 * GIB, "this"), Owner("python3 (4411)", None, "stranger")),
)


def plain(device: Device, width: int, *, short: bool = False) -> list[str]:
    return [line.plain for line in device_lines(device, width, short=short)]


def test_a_device_in_full() -> None:
    assert plain(GPU, 60) == [
        "memory  ━━━───────────────────────────  9.1 / 80.0 GB",
        "        reserved 8.8 GB · peak 9.4 GB · planned 9.2 GB",
        "busy    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━─  97%",
        "        612 of 700 W · 64 °C · 1,980 MHz",
        "",
        f"memory  {'▁' * 21}{'▅' * 21}█ 1 m 00 s",
        f"busy    {'█' * 42}▂",
        "",
        "this run                                              9.1 GB",
        "python3 (4411)                                              ",
    ]


def test_two_lines_where_there_is_no_room() -> None:
    assert plain(GPU, 74, short=True) == [
        "memory  ━━──────────────────  9.1 / 80.0 GB   peak 9.4 GB · planned 9.2 GB",
        "busy    ━━━━━━━━━━━━━━━─  97%             612 of 700 W · 64 °C · 1,980 MHz",
    ]
    assert plain(GPU, 60, short=True)[1] == "busy    ━━━━━━━━━━━━━─  97%             612 of 700 W · 64 °C"
    assert len(plain(replace(GPU, problem="it is gone"), 74, short=True)) == 2


def test_what_is_not_known_is_left_out_or_said() -> None:
    assert plain(Device("gpu0"), 40) == ["Nothing measured yet: figures come once it trains."]
    quiet = Device("gpu0", used=2.0 * GIB, total=80.0 * GIB)
    assert plain(quiet, 40)[1] == "busy    not told"
    lost = plain(replace(GPU, problem="it cannot be asked: GPU is lost"), 60)
    assert lost[0] == "⚠ it cannot be asked: GPU is lost. The run goes on."
    assert "9.1 / 80.0 GB" in lost[1]
    process = Device("process", used=2.3 * GIB, peak=2.5 * GIB, busy=3.4)
    assert plain(process, 40) == ["memory  2.3 GB", "        peak 2.5 GB", "CPU     3.4 cores"]


@given(width=st.integers(0, 200), used=st.floats(0, 1e13), busy=st.one_of(st.none(), st.floats(0, 40)))
def test_a_panel_fits_any_width(width: int, used: float, busy: float | None) -> None:
    for short in (False, True):
        lines = device_lines(replace(GPU, used=used, busy=busy), width, short=short)
        assert lines
        if width >= 60:
            assert all(line.cell_length <= width for line in lines)


def test_a_bar_warns_of_what_fills_up() -> None:
    assert [str(gauge_bar(share, 4).spans[0].style) for share in (0.5, 0.9, 0.99)] == [
        "$primary",
        "$text-warning",
        "$text-error",
    ]


def test_a_strip_shows_the_highest_and_leaves_silence_blank() -> None:
    samples = [(t, 0.0) for t in range(50)] + [(20.5, 1.0)]
    strip = heat_strip(samples, 0, 100, 20)
    assert strip.plain == "▁▁▁▁█▁▁▁▁▁▁" + " " * 9
    assert heat_strip([], 0, 100, 5).plain == "     "
    assert heat_strip([(5.0, float("nan")), (6.0, 0.5)], 0, 10, 10).plain == "      ▅   "
    assert heat_strip([(0.0, 0.5), (50.0, 0.5), (99.0, 0.5)], 0, 100, 10).plain == "▅" * 10


@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(allow_nan=True, allow_infinity=True)), max_size=30),
    st.integers(0, 60),
)
def test_a_strip_is_as_wide_as_it_is_asked_to_be(samples: list[tuple[float, float]], width: int) -> None:
    plain = heat_strip(samples, 0.0, 1000.0, width, warm=True).plain
    assert len(plain) == width
    assert set(plain) <= {*BLOCKS, " "}


@pytest.fixture
def worker(runs: SampleRuns) -> Iterator[int]:
    """A process that works for the run, by its environment."""
    environment = os.environ | {"FINETUI_RUN_DIR": str(runs.home.runs / RUN)}
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch, runs: SampleRuns, worker: int) -> MadeNvml:
    """A GPU with a live run and a stranger on it."""
    runs.add(RUN, "on-a-gpu", status="training", steps=20, age_s=120)
    runs.write(RUN, "plan", total_steps=60, gpus=[{"index": 0, "uuid": "GPU-a", "name": "NVIDIA H200"}])
    for step in range(10, 21):
        figures = {"memory_used_bytes": 8 * GIB, "memory_peak_bytes": 9.4 * GIB, "utilization_percent": 90.0}
        figures |= {"memory_total_bytes": 80 * GIB, "memory_reserved_bytes": 8.8 * GIB}
        runs.write(RUN, "system", step=step, values={f"gpu0/{name}": value for name, value in figures.items()})
    runs.take_in(RUN)
    monkeypatch.setattr(run_charts, "LOOK_S", 0.05)
    return put_in(monkeypatch, Card("GPU-a", used=14 * GIB, processes=[(worker, 9 * GIB), (os.getpid(), 3 * GIB)]))


async def test_live_figures_and_whose_memory_it_is(make_app: MakeApp, nvml: MadeNvml) -> None:
    async with make_app(open_run=RUN, size=(120, 40)) as driver:
        await driver.sees(
            "gpu0 NVIDIA H200", "14.0 / 80.0 GB", "peak 9.4 GB", "97%", "612 of 700 W", "64 °C", "1,980 MHz"
        )
        await driver.sees("this run", "9.0 GB", f"({os.getpid()})", "3.0 GB", "driver and unseen", "2.0 GB")
        await driver.sees("this machine", "cores", "free")
        nvml.cards[0].power_w = 99.0
        await driver.sees("99 of 700 W")


async def test_row_22_a_gpu_that_vanishes_is_said_and_the_run_goes_on(
    make_app: MakeApp, nvml: MadeNvml, runs: SampleRuns
) -> None:
    async with make_app(open_run=RUN, size=(120, 40)) as driver:
        await driver.sees("14.0 / 80.0 GB")
        nvml.broken = nvml.NVML_ERROR_GPU_IS_LOST
        await driver.sees("cannot be asked", "8.0 / 80.0 GB")  # what the run said of it last
        runs.train(RUN, 21, 25, total_steps=60)
        await driver.sees("step 25/60")


async def test_row_22_a_driver_that_hangs_holds_nothing_up(
    make_app: MakeApp, nvml: MadeNvml, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def hang(*_: object) -> None:
        answers.wait(30)
        raise OSError("it gave up")

    monkeypatch.setattr(run_charts, "look", hang)
    monkeypatch.setattr(run_charts, "PATIENCE_S", 0.2)
    async with make_app(open_run=RUN, size=(120, 40)) as driver:
        await driver.sees("the driver does not answer", "8.0 / 80.0 GB")
        runs.train(RUN, 21, 25, total_steps=60)
        await driver.sees("step 25/60")
        answers.set()
        await driver.sees_no("the driver does not answer")


async def test_a_run_of_another_machine_shows_what_it_said(make_app: MakeApp, nvml: MadeNvml, runs: SampleRuns) -> None:
    path = runs.home.runs / RUN / "process.json"
    Path(path).write_text(path.read_text().replace('"boot_id": "', '"boot_id": "other'), encoding="utf-8")
    async with make_app(open_run=RUN, size=(120, 40)) as driver:
        await driver.sees("gpu0 NVIDIA H200", "8.0 / 80.0 GB", "90%")
        assert not driver.app.screen.query(HostPanel)
        assert len(driver.app.screen.query(DevicePanel)) == 1
