"""Row 6: another process holds the store's lock for as long as a minute.

Waiting ten seconds before giving up is shortened to a fraction of one: what is tested is what happens then.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.runs.ingest import ingest_run
from engine.runs.rundir import RunDir
from store import Store, StoreError, connection, open_store
from store.records import NewRun
from tests.engine.test_ingest import write
from tests.store.test_concurrency import hold
from tests.tui.conftest import MakeApp, filled, home, make_app, runs, store
from tests.tui.sample_runs import SampleRuns

__all__ = ["filled", "home", "make_app", "runs", "store"]

HELD_S = 60.0
PATIENT_S = connection.BUSY_TIMEOUT_S


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.2)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator["Locked"]:
    made = Locked(tmp_path / "own.db")
    yield made
    made.release()
    assert made.store.check() == []
    made.store.close()


class Locked:
    """A store with a run, and another process that holds its lock when asked to."""

    def __init__(self, path: Path) -> None:
        self.store = open_store(path)
        self.store.runs.add(NewRun("r1", "first", "starter", "lora", "d", "d1", 0.0, {"lora_r": 8}, str(path.parent)))
        self._holder: subprocess.Popen[str] | None = None

    def take(self) -> None:
        self._holder = hold(self.store.path, HELD_S)

    def release(self) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait(20)
            assert self._holder.stdout is not None
            self._holder.stdout.close()
            self._holder = None


def test_row_6_readers_are_answered_and_a_new_app_can_open_it(locked: Locked) -> None:
    locked.take()
    begun = time.monotonic()
    assert locked.store.runs.order("cfg.lora_r>=8") == ["r1"]
    assert [run.name for run in locked.store.runs.list()] == ["first"]
    assert locked.store.runs.complete("cfg.lora")
    assert locked.store.data_version()
    second = open_store(locked.store.path)
    assert second.runs.count() == 1
    second.close()
    assert time.monotonic() - begun < HELD_S / 10, "somebody waited for the lock"


def test_row_6_a_writer_is_told_in_words_and_can_do_it_again(locked: Locked) -> None:
    locked.take()
    before = locked.store.runs.list()
    attempts: list[Callable[[], None]] = [
        lambda: locked.store.runs.rename("r1", "second"),
        lambda: locked.store.runs.add_tag("r1", "a"),
        lambda: locked.store.runs.delete("r1"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match="is busy") as caught:
            attempt()
        assert "Another process" in caught.value.why
        assert "Runs go on meanwhile" in caught.value.fix
    assert locked.store.runs.list() == before
    locked.release()
    locked.store.runs.rename("r1", "second")
    assert [run.name for run in locked.store.runs.list()] == ["second"]


def test_row_6_what_runs_write_meanwhile_is_taken_in_afterwards(locked: Locked, tmp_path: Path) -> None:
    rundir = RunDir(tmp_path)
    write(rundir, [(1.0, 1, "state", {"status": "training", "from_step": 0})])
    ingest_run(locked.store, "r1", rundir)
    locked.take()
    for step in range(1, 30):
        write(rundir, [(1.0 + step, 1, "metrics", {"step": step, "values": {"train/loss": 1.0 / step}})])
        if step % 10 == 0:
            with pytest.raises(StoreError, match="is busy"):
                ingest_run(locked.store, "r1", rundir)
    assert locked.store.metrics.series("r1", "train/loss") is None
    locked.release()
    assert ingest_run(locked.store, "r1", rundir)
    series = locked.store.metrics.series("r1", "train/loss")
    assert series is not None
    assert (series.steps, series.values) == ([*range(1, 30)], [1.0 / step for step in range(1, 30)])
    assert locked.store.runs.ingest_offset("r1") == rundir.events.stat().st_size
    assert not ingest_run(locked.store, "r1", rundir), "nothing is counted twice"


async def test_row_6_keys_are_answered_and_nothing_is_lost(make_app: MakeApp, filled: SampleRuns, store: Store) -> None:
    async with make_app() as driver:
        await driver.sees("emoji-r16-lr2e4", "support-dora")
        holder = hold(store.path, HELD_S)
        try:
            filled.write("r4live00000", "metrics", step=57, total_steps=60, values={"train/loss": 0.5})
            await driver.wait(lambda: "busy" in driver.app.tracker.problem)
            await driver.press("slash")
            begun = time.monotonic()
            await driver.type("support")
            await driver.sees_no("emoji-r16-lr2e4")
            await driver.sees("support-dora")
            assert holder.poll() is None, "the store is still held"
            assert time.monotonic() - begun < HELD_S / 6
        finally:
            holder.kill()
            holder.wait(20)
        await driver.wait(lambda: driver.app.tracker.problem == "")
        found = await driver.wait(lambda: (run := store.runs.get("r4live00000")) and run.step == 57 and run)
        assert found.step == 57


@pytest.mark.long
async def test_row_6_a_whole_minute_as_users_have_it(
    make_app: MakeApp, filled: SampleRuns, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the patience that finetui has: writers wait ten seconds, and keys wait for none of them."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", PATIENT_S)
    async with make_app() as driver:
        await driver.sees("emoji-r16-lr2e4", "support-dora")
        holder = hold(store.path, HELD_S)
        try:
            filled.write("r4live00000", "metrics", step=57, total_steps=60, values={"train/loss": 0.5})
            until = time.monotonic() + HELD_S - 5
            slowest = 0.0
            while time.monotonic() < until:
                for key in ("j", "k", "4", "1"):
                    begun = time.monotonic()
                    await driver.press(key)
                    slowest = max(slowest, time.monotonic() - begun)
                await asyncio.sleep(0.5)
            assert holder.poll() is None, "the store is still held"
            assert slowest < 2.0
        finally:
            holder.kill()
            holder.wait(20)
        found = await driver.wait(lambda: (run := store.runs.get("r4live00000")) and run.step == 57 and run)
        assert found.step == 57
        await driver.wait(lambda: driver.app.tracker.problem == "")
