"""Run folders for the worker's tests: a few plain conversations on the tiny model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.recipe import make_recipe
from engine.runs.protocol import Event, read_events
from engine.runs.rundir import RunDir, write_json

SHORT = {
    "dataset": "plain",
    "max_length": 128,
    "max_steps": 6,
    "eval_steps": 3,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "learning_rate": 5e-3,
    "sample_max_new_tokens": 8,
    "lora_dropout": 0.1,
}


def conversation(index: int) -> list[dict[str, str]]:
    question = f"question {index} about the answer" + " and more" * (index % 5)
    return [{"role": "user", "content": question}, {"role": "assistant", "content": f"the answer is {index * 7}"}]


def make_run(folder: Path, model: Path, *, rows: int = 12, validation: int = 3, **recipe: Any) -> RunDir:
    """A run's folder, ready for the worker; the last `validation` rows are held out."""
    run = RunDir(folder)
    data = folder / "dataset"
    data.mkdir(parents=True)
    splits = ["train"] * (rows - validation) + ["validation"] * validation
    messages = [conversation(index) for index in range(rows)]
    pq.write_table(pa.table({"messages": messages, "split": splits}), data / "data.parquet")
    dataset = {"id": "d1", "name": "plain", "version": 1, "dir": str(data)}
    inputs = {
        "id": "r1",
        "name": "tiny",
        "model": {"name": "tiny", "path": str(model), "kind": "folder"},
        "dataset": dataset,
    }
    write_json(run.inputs, inputs)
    run.recipe.write_text(make_recipe(SHORT | recipe).to_toml(), encoding="utf-8")
    return run


def events(run: RunDir, kind: str) -> list[Event]:
    """The run's events of one kind, in order; every line of the log must be whole. It may be growing."""
    size = run.events.stat().st_size
    chunk = read_events(run.events)
    assert not chunk.problems
    assert chunk.offset >= size
    return [event for event in chunk.events if event["kind"] == kind]


def losses(run: RunDir, attempt: int | None = None) -> dict[int, float]:
    """Training loss by step."""
    return {
        event["step"]: event["values"]["train/loss"]
        for event in events(run, "metrics")
        if attempt in (None, event["attempt"])
    }


def end(run: RunDir) -> Event:
    return events(run, "end")[-1]


def lines(run: RunDir) -> Iterator[Any]:
    for line in run.events.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
