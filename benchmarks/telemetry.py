"""What telemetry costs a training step: the same trainer with and without it, in one run.

`python -m benchmarks.telemetry [--steps 40] [--rounds 3]`. A QLoRA run on a model of the starter's shape is trained
with events, system figures and heartbeat, and without, in turn; compared are the median times from one step's begin to
the next. Evaluations are left out on both sides. Where the machine's own jitter is larger than the difference, the
second figure tells more: the time spent in telemetry itself, as a share of the training time.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import TrainerCallback

from benchmarks.machine import record
from engine.recipe import make_recipe
from engine.runs.rundir import RunDir, write_json
from engine.worker import starter, train
from engine.worker.callback import EventCallback
from engine.worker.system import SystemMonitor
from engine.worker.trainer import RunTrainer

SAMPLES = Path(__file__).parent.parent / "samples"
LIMIT = 0.005
"""Telemetry may add this share to a step."""


class StepClock(TrainerCallback):
    """Notes when each step begins."""

    def __init__(self) -> None:
        self.begins: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.begins.append(time.perf_counter())

    def durations_s(self) -> list[float]:
        """Step times, the first three left out: they warm up."""
        pairs = zip(self.begins, self.begins[1:], strict=False)
        return [end - begin for begin, end in pairs][3:]


class Silent:
    """Stands where the monitor and the callback would, and does nothing."""

    step = 0

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_kwargs: None


class SilentCallback(TrainerCallback):
    """A callback that does nothing and has seen nothing."""

    spoilt = False


def make_run(folder: Path, model: Path, steps: int) -> RunDir:
    """A run directory whose recipe never evaluates."""
    run = RunDir(folder)
    data = folder / "data"
    data.mkdir(parents=True)
    rows = [json.loads(line) for line in (SAMPLES / "support.jsonl").read_text(encoding="utf-8").splitlines()]
    pq.write_table(
        pa.table({"messages": [row["messages"] for row in rows], "split": ["train"] * len(rows)}), data / "data.parquet"
    )
    dataset = {"id": "d", "name": "support", "version": 1, "dir": str(data)}
    write_json(
        run.inputs, {"id": "b", "name": "b", "model": {"name": "starter", "path": str(model)}, "dataset": dataset}
    )
    recipe = {
        "dataset": "support",
        "max_steps": steps,
        "max_length": 256,
        "gradient_accumulation_steps": 1,
        "rehearse": False,
    }
    run.recipe.write_text(make_recipe(recipe).to_toml(), encoding="utf-8")
    return run


class Accounts:
    """Adds up the time spent in functions: wall time on the training thread, processor time on the monitor's."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def timed(self, function: Callable[..., Any], clock: Callable[[], float]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = clock()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent_s += clock() - began

        return call


def accounted_share(run: RunDir) -> float:
    """The share of a run's training time that its callback and its monitor take."""
    accounts, clock = Accounts(), StepClock()
    train_from = RunTrainer.train_from

    def timed(self: RunTrainer, checkpoint: Path | None) -> None:
        self.add_callback(clock)
        train_from(self, checkpoint)

    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(RunTrainer, "train_from", timed))
        for name in ("on_step_begin", "on_substep_end", "on_step_end", "on_log"):
            method = accounts.timed(getattr(EventCallback, name), time.perf_counter)
            patches.enter_context(mock.patch.object(EventCallback, name, method))
        sample = accounts.timed(SystemMonitor.sample, time.thread_time)
        patches.enter_context(mock.patch.object(SystemMonitor, "sample", sample))
        if train.main(str(run.path)):
            raise RuntimeError(f"the run failed: {run.path}")
    return accounts.spent_s / (clock.begins[-1] - clock.begins[0])


def step_times_s(run: RunDir, *, telemetry: bool) -> list[float]:
    """Train the run and return the time of each step."""
    clock = StepClock()
    train_from = RunTrainer.train_from

    def timed(self: RunTrainer, checkpoint: Path | None) -> None:
        self.add_callback(clock)
        train_from(self, checkpoint)

    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(RunTrainer, "train_from", timed))
        if not telemetry:
            patches.enter_context(mock.patch("engine.worker.system.SystemMonitor", lambda _writer: Silent()))
            patches.enter_context(mock.patch("engine.worker.callback.EventCallback", lambda *_: SilentCallback()))
        if train.main(str(run.path)):
            raise RuntimeError(f"the run failed: {run.path}")
    return clock.durations_s()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    times: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        starter.build_starter(model, SAMPLES, steps=2)
        for turn in range(options.rounds):
            for telemetry in (False, True) if turn % 2 else (True, False):
                run = make_run(Path(folder) / f"run-{turn}-{telemetry}", model, options.steps)
                times[telemetry] += step_times_s(run, telemetry=telemetry)
        share = accounted_share(make_run(Path(folder) / "accounted", model, 4 * options.steps))
    with_s, without_s = statistics.median(times[True]), statistics.median(times[False])
    cost = with_s / without_s - 1
    print(f"with telemetry    {with_s * 1000:8.2f} ms a step (median of {len(times[True])})")
    print(f"without           {without_s * 1000:8.2f} ms a step")
    print(f"difference        {cost:8.2%}")
    print(f"spent in it       {share:8.2%}   (limit {LIMIT:.1%})")
    record(
        "telemetry",
        {
            "steps": len(times[True]),
            "with_s": round(with_s, 5),
            "without_s": round(without_s, 5),
            "difference": round(cost, 4),
            "spent_share": round(share, 5),
            "limit": LIMIT,
        },
    )


if __name__ == "__main__":
    main()
