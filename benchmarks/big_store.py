"""A store as it looks after years: ten thousand runs with ten metrics each, one of them long.

`python -m benchmarks.big_store HOME [--runs 10000] [--metrics 10] [--long-points 1000000]` fills a home's store;
`fill` is for other benchmarks. The same arguments give the same runs, apart from the time they end at. Runs have no
folders: what looks at a store alone needs none.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from engine.home import Home
from engine.recipe import make_recipe
from store import Store, open_store
from store.records import IngestBatch, NewRun, Point, Status

METRICS = (
    "train/loss",
    "eval/loss",
    "train/learning_rate",
    "train/grad_norm",
    "train/mean_token_accuracy",
    "train/tokens_per_s",
    "eval/mean_token_accuracy",
    "eval/perplexity",
    "gpu0/memory_used_bytes",
    "system/rss_bytes",
)
MODELS = ("Qwen/Qwen2.5-1.5B-Instruct", "meta-llama/Llama-3.2-3B", "starter", "google/gemma-2-2b-it")
DATASETS = ("support", "emoji-chat", "medical-notes", "house-style")
TAGS = ("baseline", "emoji", "try-again", "for-the-paper", "nightly")
ENDS = (
    *((Status.SUCCEEDED, "") for _ in range(14)),
    (Status.STOPPED, ""),
    (Status.STOPPED, ""),
    (Status.FAILED, "cuda_out_of_memory"),
    (Status.FAILED, "loss_not_finite"),
    (Status.LOST, ""),
)
LONG_RUN = "big00000long"
"""The id of the run with many points."""
POINTS = 20
"""Points of a metric of every other run."""
AT_ONCE = 500
"""Runs stored in one transaction."""
DAY_S = 86_400.0


def fill(
    store: Store, runs: int = 10_000, metrics: int = 10, long_points: int = 1_000_000, *, points: int = POINTS
) -> None:
    """Add `runs` ended runs with `metrics` metrics each, spread over two years.

    The newest of them has `long_points` points, evenly over its metrics; each other one `points` a metric.
    """
    rng = random.Random(1)
    names = [METRICS[number] if number < len(METRICS) else f"custom/figure_{number}" for number in range(metrics)]
    recipes = list(_recipes(rng))
    now = time.time()
    for first in range(0, runs, AT_ONCE):
        with store.transaction():
            for number in range(first, min(first + AT_ONCE, runs)):
                ended = now - DAY_S * 730 * (runs - number) / runs
                steps = long_points // metrics if number == runs - 1 else points
                run_id = LONG_RUN if number == runs - 1 else f"big{number:09d}"
                _add(store, rng, run_id, number, ended, names, steps, rng.choice(recipes))


def _recipes(rng: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(200):
        fields = {
            "model": rng.choice(MODELS),
            "dataset": rng.choice(DATASETS),
            "method": rng.choice(("qlora", "qlora", "lora", "dora")),
            "lora_r": rng.choice((4, 8, 16, 32, 64)),
            "lora_alpha": rng.choice((8, 16, 32, 64)),
            "learning_rate": rng.choice((5e-5, 1e-4, 2e-4, 5e-4)),
            "num_train_epochs": rng.choice((1, 2, 3, 5)),
            "seed": number,
        }
        yield make_recipe(fields).model_dump(mode="json")


def _add(
    store: Store,
    rng: random.Random,
    run_id: str,
    number: int,
    ended: float,
    names: list[str],
    steps: int,
    recipe: dict[str, Any],
) -> None:
    status, failure = ENDS[number % len(ENDS)] if run_id != LONG_RUN else (Status.SUCCEEDED, "")
    started = ended - steps * 3.0
    store.runs.add(
        NewRun(
            id=run_id,
            name=f"{recipe['dataset']}-r{recipe['lora_r']}-{number:05d}",
            model=recipe["model"],
            method=recipe["method"],
            dataset=recipe["dataset"],
            dataset_id=f"d{recipe['dataset']}",
            created=started - 5.0,
            recipe=recipe,
            dir=f"/nowhere/{run_id}",
            tags=tuple(sorted({rng.choice(TAGS) for _ in range(number % 3)})),
        )
    )
    updates = {
        "status": status,
        "failure": failure,
        "reason": failure.replace("_", " "),
        "started": started,
        "ended": ended,
        "step": steps,
        "total_steps": steps,
        "tokens_per_s": rng.uniform(500, 9000),
        "peak_vram_bytes": int(rng.uniform(4, 40) * 2**30),
        "cost": rng.uniform(0.05, 12.0),
        "energy_j": rng.uniform(1e5, 1e7),
        "best_step": steps,
    }
    series = {(name, 1): _points(rng, name, steps, started) for name in names}
    assert store.runs.ingest(IngestBatch(run_id, 0, 1, points=series, last_seq=steps, updates=updates))


def _points(rng: random.Random, name: str, steps: int, started: float) -> list[Point]:
    """A curve that falls, or rises where that is better, with noise; bytes hover."""
    scale = rng.uniform(0.6, 1.6)
    better_up = "accuracy" in name
    if "bytes" in name:
        values: Iterator[float] = (scale * 8e9 + rng.random() * 1e8 for _ in range(steps))
    elif better_up:
        values = (1 - 0.6 * math.exp(-3 * step / steps) - 0.02 * rng.random() for step in range(steps))
    else:
        values = (scale * (1 + 2 * math.exp(-4 * step / steps)) + rng.gauss(0, 0.03) for step in range(steps))
    return [(step, value, started + step * 3.0) for step, value in zip(count(1), values, strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=10)
    parser.add_argument("--long-points", type=int, default=1_000_000)
    options = parser.parse_args()
    home = Home(options.home).ensure()
    store = open_store(home.db)
    began = time.perf_counter()
    fill(store, options.runs, options.metrics, options.long_points)
    store.close()
    size = home.db.stat().st_size / 2**20
    print(f"{options.runs:,} runs in {time.perf_counter() - began:.0f} s; the store has {size:,.0f} MiB")


if __name__ == "__main__":
    main()
