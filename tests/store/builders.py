"""Runs and batches for the tests of the store, with everything that does not matter filled in."""

from collections.abc import Sequence
from typing import Any

from store import Store
from store.records import Attempt, IngestBatch, NewRun, Point, Run, Status


def new_run(run_id: str, name: str | None = None, **fields: Any) -> NewRun:
    known: dict[str, Any] = {
        "model": "starter",
        "method": "qlora",
        "dataset": "tickets v1",
        "dataset_id": "d0123456789",
        "created": 1000.0,
        "recipe": {"lora_r": 16},
        "dir": f"/runs/{run_id}",
    }
    return NewRun(id=run_id, name=name or run_id, **(known | fields))


def add_points(
    store: Store, run_id: str, points: dict[str, Sequence[Point]], *, attempt: int = 1, from_step: int | None = None
) -> None:
    """Ingest points as one batch that goes on where the store stands."""
    start = store.runs.ingest_offset(run_id)
    attempts = [Attempt(run_id, attempt, 1.0, None, Status.TRAINING, "", from_step)] if from_step is not None else []
    batch = IngestBatch(
        run_id,
        start,
        start + 1,
        points={(name, attempt): list(rows) for name, rows in points.items()},
        attempts=attempts,
    )
    assert store.runs.ingest(batch)


def line(steps: int, first: int = 1, every: int = 1) -> list[Point]:
    """A falling series with a time of its own."""
    return [(step, 10.0 / step, 1000.0 + step) for step in range(first, first + steps * every, every)]


def the(run: Run | None) -> Run:
    assert run is not None
    return run
