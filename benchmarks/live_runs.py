"""Runs that are live without a trainer: one process that writes the event logs of several at a steady rate.

`python -m benchmarks.live_runs HOME [--runs 8] [--rate 10] [--events 0]` adds the runs and writes until it is killed.
With `--events N` each begins with so many events, as a run does that went on while nobody looked.
"""

import argparse
import math
import os
import random
import time
from pathlib import Path

from engine.home import Home
from engine.recipe import make_recipe
from engine.runs.identity import boot_id, host, identity_of
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir, write_json
from store import open_store
from store.records import NewRun

STEPS = 1_000_000
SYSTEM_EVERY = 2
"""One event of the machine's figures to so many of training."""


class LiveRun:
    """One of them, at its step."""

    def __init__(self, home: Home, number: int) -> None:
        self.id = f"live{number:07d}"
        self._random = random.Random(number)
        self._step = 0
        self._dir = RunDir(home.runs / self.id)
        self._dir.path.mkdir(parents=True)
        own = identity_of(os.getpid())
        assert own is not None
        record = {"host": host(), "boot_id": boot_id(), "attempt": 1, "backend": "local"}
        write_json(self._dir.process, record | {"supervisor": own.to_json(), "worker": own.to_json()})
        self._writer = EventWriter(self._dir.events, 1)
        self._writer.write("plan", total_steps=STEPS)
        self._writer.write("state", status="training")

    def tick(self) -> None:
        """One step: its metrics, and the machine's now and then."""
        self._step += 1
        noise = self._random.gauss(0, 0.03)
        values = {
            "train/loss": 0.8 + 2 * math.exp(-self._step / 3000) + noise,
            "train/learning_rate": 2e-4 * (1 - self._step / STEPS),
            "train/grad_norm": 1.2 + noise,
            "train/mean_token_accuracy": 0.6 - noise,
            "train/tokens_per_s": 4000 + 1000 * noise,
            "train/epoch": self._step / 5000,
            "train/num_tokens": self._step * 4096.0,
        }
        left = (STEPS - self._step) * 0.1
        self._writer.write(
            "metrics", step=self._step, values=values, total_steps=STEPS, eta_s=left, eta_error_s=left / 20
        )
        if self._step % SYSTEM_EVERY == 0:
            system = {"system/rss_bytes": 5e9 + 1e8 * noise, "system/cpu_percent": 90 + noise}
            self._writer.write("system", step=self._step, values=system)
        if self._step % 500 == 0:
            self._writer.write("evaluation", step=self._step, values={"eval/loss": values["train/loss"] + 0.1})


def add_runs(home: Home, count: int) -> list[LiveRun]:
    """So many runs, known to the store and at work as far as anybody can tell."""
    store = open_store(home.ensure().db)
    recipe = make_recipe({"dataset": "support"}).model_dump(mode="json")
    runs = [LiveRun(home, number) for number in range(count)]
    for number, run in enumerate(runs):
        store.runs.add(
            NewRun(
                id=run.id,
                name=f"live-{number}",
                model="starter",
                method="qlora",
                dataset="support v1",
                dataset_id="d0",
                created=time.time(),
                recipe=recipe,
                dir=str(home.runs / run.id),
            )
        )
    store.close()
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=10.0, help="events a second of each run")
    parser.add_argument("--events", type=int, default=0, help="events of each before the first second")
    options = parser.parse_args()
    runs = add_runs(Home(options.home), options.runs)
    for run in runs:
        for _ in range(options.events):
            run.tick()
    print("live", flush=True)
    due = time.monotonic()
    while True:
        for run in runs:
            run.tick()
        due += 1 / options.rate
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
