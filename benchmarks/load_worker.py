"""A worker that trains nothing and writes events at a steady rate, counting for itself what it wrote.

`python -m benchmarks.load_worker [--rate 50] [--events 0] RUN_DIR`. With `--events 0` it goes on until the file
`enough` is in the run's folder. At the end it leaves `written.json` there: what the store must hold, known from
nowhere but here. Of a hundred events some 96 are metrics of training; the others are the machine's, evaluations and
checkpoints. An event that was due while the machine was busy is written late, never left out.
"""

import argparse
import hashlib
import math
import os
import random
import signal
import struct
import time
from pathlib import Path
from types import FrameType

from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json

STEPS = 1_000_000
ENOUGH = "enough"
WRITTEN = "written.json"
SYSTEM_EVERY = 30
EVALUATION_EVERY = 250
CHECKPOINT_EVERY = 500

stop_requested = False


class Tally:
    """What was written: events by kind, and for each metric how many points and the hash of them in order."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}
        self._points: dict[str, tuple[list[int], hashlib._Hash]] = {}

    def add(self, kind: str, step: int, values: dict[str, float]) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        for name, value in values.items():
            count, digest = self._points.setdefault(name, ([0], hashlib.sha256()))
            count[0] += 1
            digest.update(packed(step, value))

    def points(self) -> dict[str, tuple[int, str]]:
        return {name: (count[0], digest.hexdigest()) for name, (count, digest) in self._points.items()}


def packed(step: int, value: float) -> bytes:
    """A point as it goes into the hash: its step and every bit of its value."""
    return struct.pack("<qd", step, value)


class LoadedRun:
    """Writes the events of one run, step by step."""

    def __init__(self, run: RunDir, attempt: int) -> None:
        self.tally = Tally()
        self._writer = EventWriter(run.events, attempt)
        self._random = random.Random(run.path.name)
        self._step = 0

    @property
    def dropped(self) -> int:
        return self._writer.dropped

    def begin(self) -> None:
        self._write("plan", 0, {}, total_steps=STEPS)
        self._write("state", 0, {}, status="training", from_step=0)

    def step(self) -> None:
        """One step: one event, and now and then one more."""
        self._step += 1
        noise = self._random.gauss(0, 0.03)
        loss = 0.8 + 2 * math.exp(-self._step / 3000) + noise
        left = (STEPS - self._step) / 50
        values = {
            "train/loss": loss,
            "train/learning_rate": 2e-4 * (1 - self._step / STEPS),
            "train/grad_norm": 1.2 + noise,
            "train/mean_token_accuracy": 0.6 - noise,
            "train/tokens_per_s": 4000 + 1000 * noise,
            "train/epoch": self._step / 5000,
            "train/num_tokens": self._step * 4096.0,
        }
        self._write("metrics", self._step, values, total_steps=STEPS, eta_s=left, eta_error_s=left / 20)
        if self._step % SYSTEM_EVERY == 0:
            system = {"system/rss_bytes": 5e9 + 1e8 * noise, "system/cpu_percent": 90 + noise}
            self._write("system", self._step, system)
        if self._step % EVALUATION_EVERY == 0:
            self._write("evaluation", self._step, {"eval/loss": loss + 0.1}, best=True)
        if self._step % CHECKPOINT_EVERY == 0:
            self._write("checkpoint", self._step, {}, path=f"checkpoints/step-{self._step:06d}", best=True)

    def end(self, status: str) -> None:
        self._write("end", self._step, {}, status=status, reason="")

    def _write(self, kind: str, step: int, values: dict[str, float], **fields: object) -> None:
        if values:
            fields["values"] = values
        self.tally.add(kind, step, values)
        self._writer.write(kind, **{"step": step} | fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--rate", type=float, default=50.0, help="steps a second")
    parser.add_argument("--events", type=int, default=0, help="steps in all; 0: until the file `enough` is there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    rundir = RunDir(options.run_dir)
    enough = rundir.path / ENOUGH
    run = LoadedRun(rundir, int(os.environ["FINETUI_ATTEMPT"]))
    run.begin()
    due, done = time.monotonic(), 0
    while not stop_requested and (done < options.events if options.events else not enough.exists()):
        run.step()
        done += 1
        due += 1 / options.rate
        time.sleep(max(0.0, due - time.monotonic()))
    run.end("stopped" if stop_requested else "succeeded")
    write_json(rundir.path / WRITTEN, {"kinds": run.tally.kinds, "points": run.tally.points(), "dropped": run.dropped})


def _stop(_number: int, _frame: FrameType | None) -> None:
    global stop_requested
    stop_requested = True


if __name__ == "__main__":
    main()
