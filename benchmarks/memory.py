"""The planner's memory estimate against what a GPU measures: `python -m benchmarks.memory` (on a machine with one).

Base models of real shapes with random weights are trained for two steps through the worker, on rows of one length, so
that the longest batch is every batch. Compared are the estimate made before launch, uncalibrated, and the allocator's
peak; wanted is a median error of at most 5 % over the shapes.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.base_models import make_base
from benchmarks.machine import record
from benchmarks.training import write_rows
from engine.datasets.library import DatasetLibrary
from engine.home import Home
from engine.planning.plan import plan_run
from engine.recipe import make_recipe
from engine.runs.manager import RunManager
from engine.runs.protocol import read_events
from engine.runs.rundir import RunDir
from store import Store, open_store

LIMIT = 0.05

CASES: list[tuple[str, dict[str, Any]]] = [
    ("qwen-0.5b", {"method": "qlora", "per_device_train_batch_size": 8, "max_length": 1024}),
    ("qwen-0.5b", {"method": "full", "per_device_train_batch_size": 4, "max_length": 1024}),
    ("qwen-1.5b", {"method": "qlora", "per_device_train_batch_size": 8, "max_length": 1024}),
    ("qwen-1.5b", {"method": "lora", "per_device_train_batch_size": 4, "max_length": 2048}),
    ("llama-1b", {"method": "qlora", "per_device_train_batch_size": 16, "max_length": 1024}),
    ("llama-1b", {"method": "dora", "per_device_train_batch_size": 4, "max_length": 1024}),
    ("llama-3b", {"method": "qlora", "per_device_train_batch_size": 4, "max_length": 2048}),
    ("qwen-7b", {"method": "qlora", "per_device_train_batch_size": 4, "max_length": 2048}),
    (
        "llama-8b",
        {
            "method": "qlora",
            "per_device_train_batch_size": 8,
            "max_length": 2048,
            "gradient_checkpointing": True,
        },
    ),
]


def measure(home: Home, store: Store, bases: Path, shape: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One case: planned and measured bytes."""
    model = make_base(bases / shape, shape)
    words = "the desk opens at nine and closes at five " * (settings["max_length"] // 4)
    rows = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": words}]} for n in range(64)
    ]
    data = write_rows(home.root / f"{settings['max_length']}.jsonl", rows)
    dataset = DatasetLibrary(home, store).import_file(data, name=f"rows-{settings['max_length']}", validation=0.0)
    recipe = make_recipe(
        {
            "model": str(model),
            "dataset": dataset.id,
            "max_steps": 2,
            "gradient_accumulation_steps": 1,
            "packing": False,
            "padding_free": False,
            "gradient_checkpointing": False,
            **settings,
        }
    )
    planned = plan_run(home, store, recipe, dataset=dataset).estimate.memory
    manager = RunManager(home, store)
    run = manager.launch(recipe, name=f"{shape}-{settings['method']}")
    while store.runs.live():
        manager.refresh()
    manager.close()
    events = read_events(RunDir(Path(run.dir)).events).events
    rehearsal = next((event for event in events if event["kind"] == "rehearsal"), {})
    done = store.runs.get(run.id)
    peak = rehearsal.get("peak_bytes")
    found = {
        "shape": shape,
        **settings,
        "status": str(done.status) if done else "gone",
        "reason": done.reason if done else "",
        "planned_bytes": planned.total if planned else None,
        "peak_bytes": peak,
        "error": round(planned.total / peak - 1, 4) if planned and peak else None,
    }
    print(json.dumps(found), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=Path, help="where base models are kept between calls")
    parser.add_argument("--cases", type=int, default=len(CASES))
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home")
        home.ensure()
        store = open_store(home.db)
        bases = options.bases or Path(name) / "bases"
        found = [measure(home, store, bases, shape, settings) for shape, settings in CASES[: options.cases]]
        store.close()
    errors = [abs(case["error"]) for case in found if case["error"] is not None]
    median = statistics.median(errors) if errors else None
    print(f"median error {median:.1%} (limit {LIMIT:.0%})" if median is not None else "nothing was measured")
    record("memory-gpu", {"cases": found, "median_error": median, "limit": LIMIT})


if __name__ == "__main__":
    main()
