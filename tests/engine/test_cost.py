"""The cost of a run: device time at a price, over all its attempts, whatever the clock does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.runs.cost import price_per_s
from engine.runs.ingest import ingest_run
from engine.runs.protocol import EventWriter
from engine.runs.rundir import RunDir
from store import open_store
from store.records import NewRun

HOUR = 3600.0
Told = tuple[float, int, str, dict[str, Any]]

TWO_ATTEMPTS: list[Told] = [
    (0, 1, "state", {"status": "queued", "phase": "waiting for gpu0"}),
    (5 * HOUR, 1, "state", {"status": "starting", "from_step": 0}),  # five hours in the line are free
    (5.5 * HOUR, 1, "metrics", {"step": 1, "values": {"train/loss": 1.0}}),
    (6 * HOUR, 1, "end", {"status": "stopped"}),
    (16 * HOUR, 2, "state", {"status": "queued", "from_step": 1}),  # and so are ten between the attempts
    (17 * HOUR, 2, "state", {"status": "starting"}),
    (19 * HOUR, 2, "end", {"status": "succeeded"}),
]


def cost_of(folder: Path, told: Sequence[Told], *, batch_bytes: int = 1 << 20, **recipe: Any) -> float | None:
    """What the store says of a run with these events (unix seconds, attempt, kind, fields)."""
    run = RunDir(folder)
    run.path.mkdir()
    for t, attempt, kind, fields in told:
        writer = EventWriter(run.events, attempt, clock=lambda t=t: t)  # type: ignore[misc]
        writer.write(kind, **fields)
        writer.close()
    store = open_store(folder / "finetui.db")
    store.runs.add(NewRun("r1", "a", "m", "qlora", "d", "d1", 0.0, {"cost_per_hour": 2.0} | recipe, str(folder)))
    ingest_run(store, "r1", run, batch_bytes=batch_bytes)
    found = store.runs.get("r1")
    store.close()
    assert found is not None
    return found.cost


@pytest.mark.parametrize("batch_bytes", [1, 200, 1 << 20])
def test_device_hours_of_all_attempts_however_the_log_is_cut(tmp_path: Path, batch_bytes: int) -> None:
    assert cost_of(tmp_path / "r1", TWO_ATTEMPTS, batch_bytes=batch_bytes) == pytest.approx(3 * 2.0)


def test_every_device_counts_and_a_run_without_a_price_costs_nothing_known(tmp_path: Path) -> None:
    assert cost_of(tmp_path / "r1", TWO_ATTEMPTS, devices=[0, 3], nodes=2) == pytest.approx(3 * 2.0 * 4)
    assert cost_of(tmp_path / "r2", TWO_ATTEMPTS, cost_per_hour=0.0) is None
    assert price_per_s({"cost_per_hour": 3600.0, "devices": "auto"}) == 1.0
    assert price_per_s({"cost_per_hour": "a lot", "devices": None}) == 0.0


def test_an_attempt_that_broke_off_costs_what_was_heard_of_it(tmp_path: Path) -> None:
    told: list[Told] = [
        (0, 1, "state", {"status": "training"}),
        (HOUR, 1, "heartbeat", {"step": 3}),
        (9 * HOUR, 2, "state", {"status": "training"}),
        (10 * HOUR, 2, "end", {"status": "succeeded"}),
    ]
    assert cost_of(tmp_path / "r1", told) == pytest.approx(2 * 2.0)
